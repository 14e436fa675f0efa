"""What every surrogate promises, with every structure that can carry it."""

import copy
import gc
import weakref

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import Structure, registered_name
from spigot_allennlp.surrogates import StepSize, StructuredArgmax
from tests.gpu import needs_gpu
from tests.structures.table import ROWS, Row
from tests.surrogates.table import SURROGATES, Surrogate, every_pair, every_surrogate, masks, pairs, pull

has_rule = pairs(lambda surrogate, row: surrogate.backward is not None)
REFUSED = [(s, row) for s in SURROGATES for row in ROWS if not s.needs <= row.operations]


def clipped(d_z: torch.Tensor, parts: torch.Tensor, max_norm: float | None) -> torch.Tensor:
    """`d_z` off the parts set to 0, sentence by sentence scaled down to a norm."""
    sentences = []
    for g in d_z.where(parts, 0.0):
        shorten = max_norm is not None and g.norm() > max_norm
        sentences.append(g * (max_norm / g.norm()) if shorten else g)
    return torch.stack(sentences)


def test_every_registered_type_has_a_row() -> None:
    assert {surrogate.type for surrogate in SURROGATES} == set(StructuredArgmax.list_available())


@every_surrogate
def test_what_it_needs_is_declared(surrogate: Surrogate) -> None:
    if surrogate.inner is None:
        assert set(StructuredArgmax.by_name(surrogate.type).needs) == surrogate.needs


@pytest.mark.parametrize("surrogate, row", REFUSED, ids=[f"{surrogate}-{row}" for surrogate, row in REFUSED])
def test_pairs_that_do_not_go_together_are_refused_when_built(surrogate: Surrogate, row: Row) -> None:
    (missing,) = surrogate.needs - row.operations
    user = (surrogate.inner or surrogate).type
    name = registered_name(row.build(), Structure)
    with pytest.raises(ConfigurationError, match=f"^{user} needs {missing}, and {name} has none$"):
        surrogate.build(row.build())


@every_pair
def test_forward_is_as_documented(surrogate: Surrogate, row: Row) -> None:
    layer, scores, mask = surrogate.build(row.build()), row.random(0, 3, 6), masks(row)
    for training in (True, False):
        z = layer.train(training)(scores, mask)
        torch.testing.assert_close(z, surrogate.forward(layer.structure, scores, mask), rtol=0, atol=1e-9)
        assert layer.passes_mixture == surrogate.mixes


@every_pair
def test_what_is_reported_is_a_structure(surrogate: Surrogate, row: Row) -> None:
    layer, scores, mask = surrogate.build(row.build()), row.random(0, 3, 6).requires_grad_(), masks(row)
    z = layer(scores, mask)
    chosen = layer.chosen(scores, mask, z)
    assert not chosen.requires_grad
    assert torch.equal(chosen, layer.structure.argmax(scores, mask))


@has_rule
@pytest.mark.parametrize("step_size, max_norm", [(1.0, None), (0.3, None), (2.0, 0.1)])
def test_backward_is_its_formula(surrogate: Surrogate, row: Row, step_size: float, max_norm: float | None) -> None:
    if not surrogate.steps:
        step_size, max_norm = 1.0, None
    settings = {"step_size": step_size, "max_gradient_norm": max_norm} if surrogate.steps else {}
    layer, scores, d_z, mask = (
        surrogate.build(row.build(), **settings),
        row.random(0, 3, 6),
        row.random(1, 3, 6),
        masks(row),
    )
    _, d_scores = pull(layer, scores, d_z, mask)
    step = step_size * clipped(d_z, layer.structure.parts(scores, mask), max_norm)
    expected = surrogate.backward(layer.structure, scores, step, mask) / (step_size if surrogate.per_step else 1)
    torch.testing.assert_close(d_scores, expected, rtol=0, atol=1e-9)


@pairs(lambda surrogate, row: surrogate.backward is None)
def test_backward_is_the_derivative(surrogate: Surrogate, row: Row) -> None:
    layer, scores, d_z, mask = surrogate.build(row.build()), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    _, d_scores = pull(layer, scores, d_z, mask)
    direction, step = row.random(2, 3, 6), 1e-5
    there, back = (surrogate.forward(layer.structure, scores + sign * step * direction, mask) for sign in (1, -1))
    slopes = ((there - back) / (2 * step) * d_z).flatten(1).sum(1)
    torch.testing.assert_close((d_scores * direction).flatten(1).sum(1), slopes, rtol=1e-4, atol=1e-4)


# From outside its polytope, a projection need not go the way of the gradient.
KEEPS_THE_WAY = (
    "pipeline",
    "spigot",
    "spigot_eg",
    "imle",
    "blackbox",
    "perturb_and_map",
    "structured_attention",
    "sparsemap",
)


@pairs(lambda s, row: s.type in KEEPS_THE_WAY and s.polytope != "arcs_then_labels")
def test_gradients_go_down(surrogate: Surrogate, row: Row) -> None:
    layer, scores, d_z, mask = surrogate.build(row.build()), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    _, d_scores = pull(layer, scores, d_z, mask)
    assert (d_scores * d_z).flatten(1).sum(1).min() >= -1e-9


@pairs(lambda surrogate, row: surrogate.type != "pipeline" and len(row.structures()) > 1)
def test_gradients_listen_downstream(surrogate: Surrogate, row: Row) -> None:
    # The target of some is a structure, which a short step would not leave.
    settings = {"step_size": 3.0, "max_gradient_norm": None} if surrogate.steps else {}
    layer, scores, mask = surrogate.build(row.build(), **settings), row.random(0, 3, 6), masks(row)
    _, from_first = pull(layer, scores, row.random(1, 3, 6), mask)
    _, from_second = pull(layer, scores, row.random(2, 3, 6), mask)
    assert not torch.allclose(from_first, from_second)


@every_pair
def test_cells_that_are_no_parts_have_neither_value_nor_gradient(surrogate: Surrogate, row: Row) -> None:
    layer, mask = surrogate.build(row.build()), masks(row)
    parts = layer.structure.parts(row.random(0, 3, 6), mask)
    scores, d_z = row.random(0, 3, 6).where(parts, torch.nan), row.random(1, 3, 6).where(parts, torch.nan)
    expected = pull(layer, row.random(0, 3, 6), row.random(1, 3, 6), mask)
    found = pull(layer, scores, d_z.nan_to_num() if surrogate.backward is None else d_z, mask)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)
        assert one.isfinite().all() and not one[~parts].any()


@every_pair
def test_a_sentence_does_not_depend_on_its_batch(surrogate: Surrogate, row: Row) -> None:
    layer, scores, d_z, mask = surrogate.build(row.build()), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    together = pull(layer, scores, d_z, mask)
    for i, sentence in enumerate(mask):
        short = [row.crop(tensor[i], sentence)[None] for tensor in (scores, d_z)]
        alone = pull(layer, *short, row.full_mask(short[0]))
        for batch, single in zip(together, alone, strict=True):
            torch.testing.assert_close(row.crop(batch[i], sentence), single[0], rtol=0, atol=1e-6)


@needs_gpu
@every_pair
def test_tensors_on_a_gpu(surrogate: Surrogate, row: Row) -> None:
    layer, scores, d_z, mask = surrogate.build(row.build()), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    here, there = pull(layer, scores, d_z, mask), pull(layer, scores.cuda(), d_z.cuda(), mask.cuda())
    for one, other in zip(here, there, strict=True):
        assert other.is_cuda
        torch.testing.assert_close(other.cpu(), one, rtol=0, atol=1e-9)


@every_pair
def test_what_is_forbidden_has_neither_value_nor_gradient(surrogate: Surrogate, row: Row) -> None:
    """Whatever the second stage wants, and though it wants just that."""
    layer, mask = surrogate.build(row.build()), masks(row)
    scores, d_z = row.random(0, 3, 6), 3 * row.random(1, 3, 6)
    legal = layer.structure.argmax(row.random(2, 3, 6), mask)
    noise = torch.rand(scores.shape, generator=torch.Generator().manual_seed(3))
    forbidden = layer.structure.parts(scores, mask) & (legal == 0) & (noise < 0.3)
    z, d_scores = pull(layer, scores.masked_fill(forbidden, -torch.inf), d_z.masked_fill(forbidden, -10), mask)
    for tensor in (z, d_scores):
        assert tensor.isfinite().all()
        assert tensor[forbidden].abs().sum() < 1e-12  # marginals are never quite 0
    assert z.any()


@every_pair
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types_are_kept_and_inputs_left_alone(surrogate: Surrogate, row: Row, dtype: torch.dtype) -> None:
    scores, d_z, mask = row.random(0, 3, 6).to(dtype), row.random(1, 3, 6).to(dtype), masks(row)
    before = scores.clone(), d_z.clone()
    z, d_scores = pull(surrogate.build(row.build()), scores, d_z, mask)
    assert z.dtype == d_scores.dtype == dtype
    assert torch.equal(scores, before[0]) and torch.equal(d_z, before[1]) and torch.equal(mask, masks(row))
    exact = pull(surrogate.build(row.build()), scores.double(), d_z.double(), mask)
    torch.testing.assert_close(z.double(), exact[0], rtol=0.02, atol=0.02)
    torch.testing.assert_close(d_scores.double(), exact[1], rtol=0.02, atol=0.05)


@has_rule
def test_a_gradient_that_is_not_finite_stays_in_its_sentence(surrogate: Surrogate, row: Row) -> None:
    layer, scores, d_z, mask = surrogate.build(row.build()), row.random(0, 3, 6), row.random(1, 3, 6), masks(row)
    _, expected = pull(layer, scores, d_z, mask)
    part = layer.structure.parts(scores, mask)[0].nonzero()[0].tolist()
    for value in (torch.nan, torch.inf):
        d_z[(0, *part)] = value
        _, d_scores = pull(layer, scores, d_z, mask)
        assert surrogate.type == "pipeline" or d_scores[0].isnan().all()
        torch.testing.assert_close(d_scores[1:], expected[1:], rtol=0, atol=1e-9)


@every_pair
def test_a_checkpoint_and_a_copy_go_on_as_the_original(surrogate: Surrogate, row: Row) -> None:
    step_size = {"type": "linear", "start": 1.0, "end": 2.0, "num_passes": 5} if surrogate.steps else None

    def build() -> StructuredArgmax:
        settings = {"step_size": StepSize.from_params(Params(dict(step_size)))} if step_size else {}
        return surrogate.build(row.build(), **settings)

    layer, resumed, mask = build(), build(), masks(row)
    inputs = row.random(0, 3, 6), row.random(1, 3, 6), mask
    scores = row.random(0, 3, 6).requires_grad_()
    loss = (layer(scores, mask) * scores).sum()
    layer.see_gradient_of(loss)
    (1024 * loss).backward()
    resumed.load_state_dict(layer.state_dict())
    copied = copy.deepcopy(layer)
    expected = pull(layer, *inputs)
    for other in (resumed, copied):
        for one, another in zip(pull(other, *inputs), expected, strict=True):
            assert torch.equal(one, another)


@every_pair
def test_nothing_is_kept_alive(surrogate: Surrogate, row: Row) -> None:
    """No cycle of references: what a forward pass holds is freed with its output, not by the garbage collector."""
    layer, scores, mask = surrogate.build(row.build()), row.random(0, 3, 6).requires_grad_(), masks(row)
    gc.disable()
    try:
        z = layer(scores, mask)
        freed = weakref.ref(z)
        del z
        assert freed() is None
    finally:
        gc.enable()
