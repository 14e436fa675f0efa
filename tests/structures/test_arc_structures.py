"""What all structures over dependency arcs promise, whatever the algorithm behind them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree, SingleHead
from tests import oracles

STRUCTURES = {
    "single_head": SingleHead(),
    "nonprojective_tree": NonprojectiveTree(),
    "nonprojective_tree, single root": NonprojectiveTree(single_root=True),
    "projective_tree": ProjectiveTree(),
    "projective_tree, single root": ProjectiveTree(single_root=True),
}
all_structures = pytest.mark.parametrize("name", STRUCTURES)
METHODS = ["argmax", "log_partition", "marginals", "project_local"]


def enumerated(name: str, length: int) -> torch.Tensor:
    return oracles.structures(name.split(",")[0], length, "single root" in name)


def random_scores(batch_size: int, length: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch_size, length, length, generator=generator, dtype=torch.float64)


def full_mask(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[:2], dtype=torch.bool)


def legal_arcs(mask: torch.Tensor) -> torch.Tensor:
    legal = mask.unsqueeze(1) & mask.unsqueeze(2) & ~torch.eye(mask.size(1), dtype=torch.bool)
    legal[:, 0] = False
    return legal


@all_structures
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_argmax_is_the_best_structure(name: str, length: int, scale: float) -> None:
    scores = random_scores(30, length) * scale
    z = STRUCTURES[name].argmax(scores, full_mask(scores))
    every = enumerated(name, length)
    # It is one of them, and none is better.
    assert (z.unsqueeze(1) == every.unsqueeze(0)).flatten(2).all(2).any(1).all()
    torch.testing.assert_close((z * scores).sum((1, 2)), oracles.best_scores(every, scores), rtol=1e-14, atol=1e-14)


@all_structures
def test_argmax_does_not_round(name: str) -> None:
    # Scores near 10000 whose differences a sum in float32 would lose.
    scores = (1e4 + random_scores(30, 5) * 0.01).float()
    z = STRUCTURES[name].argmax(scores, full_mask(scores))
    best = oracles.best_scores(enumerated(name, 5), scores)
    torch.testing.assert_close((z * scores).double().sum((1, 2)), best, rtol=0, atol=1e-10)


@all_structures
@pytest.mark.parametrize("length", [1, 2, 3, 5])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0, 1e4])
def test_log_partition_and_marginals(name: str, length: int, scale: float) -> None:
    scores = random_scores(10, length) * scale
    structure, every = STRUCTURES[name], enumerated(name, length)
    mask = full_mask(scores)
    log_z = structure.log_partition(scores, mask)
    torch.testing.assert_close(log_z, oracles.log_partition(every, scores), rtol=1e-12, atol=1e-10)
    marginals = structure.marginals(scores, mask)
    torch.testing.assert_close(marginals, oracles.marginals(every, scores), rtol=0, atol=1e-9)


@all_structures
def test_marginals_are_the_gradient_of_the_log_partition(name: str) -> None:
    scores = random_scores(4, 7).requires_grad_()
    mask = full_mask(scores)
    (gradient,) = torch.autograd.grad(STRUCTURES[name].log_partition(scores, mask).sum(), scores)
    torch.testing.assert_close(gradient, STRUCTURES[name].marginals(scores, mask), rtol=0, atol=1e-12)


@all_structures
def test_derivatives(name: str) -> None:
    structure = STRUCTURES[name]
    scores = random_scores(2, 4).requires_grad_()
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    assert torch.autograd.gradcheck(lambda s: structure.log_partition(s, mask), scores)
    assert torch.autograd.gradgradcheck(lambda s: structure.log_partition(s, mask), scores)
    assert torch.autograd.gradcheck(lambda s: structure.marginals(s, mask), scores)


@all_structures
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_masked_cells_play_no_part(name: str, method: str, data: st.DataObject) -> None:
    """Any mask is as good as a shorter sentence, whatever stands in the cells that no arc has."""
    length = data.draw(st.integers(1, 7))
    tokens = data.draw(st.lists(st.booleans(), min_size=length - 1, max_size=length - 1))
    rubbish = data.draw(st.sampled_from([0.0, 1e9, float("nan"), float("inf"), float("-inf")]))
    mask = torch.tensor([[True, *tokens]])
    kept = mask[0].nonzero().squeeze(1)
    scores = random_scores(1, length, seed=data.draw(st.integers(0, 99)))
    function = getattr(STRUCTURES[name], method)

    result = function(scores.where(legal_arcs(mask), rubbish), mask)
    short = scores[:, kept][:, :, kept]
    expected = function(short, full_mask(short))
    if method == "log_partition":
        torch.testing.assert_close(result, expected)
    else:
        torch.testing.assert_close(result[:, kept][:, :, kept], expected)
        assert (result[~legal_arcs(mask)] == 0).all()


@all_structures
@pytest.mark.parametrize("method", METHODS)
def test_a_sentence_does_not_depend_on_its_batch(name: str, method: str) -> None:
    scores = random_scores(3, 6)
    mask = torch.arange(6) < torch.tensor([[6], [4], [1]])
    function = getattr(STRUCTURES[name], method)
    together = function(scores, mask)
    for sentence in range(3):
        assert torch.equal(
            function(scores[sentence : sentence + 1], mask[sentence : sentence + 1])[0], together[sentence]
        )


@all_structures
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_stays_and_inputs_are_not_touched(name: str, method: str, dtype: torch.dtype) -> None:
    scores = random_scores(2, 5).to(dtype).transpose(1, 2)
    mask = torch.ones(5, 2, dtype=torch.bool).t()
    before, mask_before = scores.clone(), mask.clone()
    function = getattr(STRUCTURES[name], method)
    result = function(scores, mask)
    assert result.dtype == dtype
    assert torch.equal(scores, before) and torch.equal(mask, mask_before)
    tolerance = 20 * torch.finfo(dtype).eps
    torch.testing.assert_close(result.double(), function(scores.double(), mask), rtol=tolerance, atol=tolerance)


@all_structures
@pytest.mark.parametrize("method", METHODS)
def test_empty_batch_and_sentences_of_only_root(name: str, method: str) -> None:
    function = getattr(STRUCTURES[name], method)
    for batch_size, length in (0, 4), (2, 1), (2, 4):
        scores = torch.randn(batch_size, length, length, requires_grad=True)
        mask = torch.zeros(batch_size, length, dtype=torch.bool)
        mask[:1, 0] = True
        result = function(scores, mask)
        assert torch.equal(result, torch.zeros_like(result))
        assert result.shape == (scores.shape[:1] if method == "log_partition" else scores.shape)
        if method != "argmax":
            result.sum().backward()
            assert torch.equal(scores.grad, torch.zeros_like(scores))


@all_structures
@pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_none_are_refused(name: str, method: str, bad: float) -> None:
    scores = random_scores(3, 4)
    scores[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"sentence 1 .* NaN or \+inf"):
        getattr(STRUCTURES[name], method)(scores, full_mask(scores))


@all_structures
@pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals"])
def test_no_structure_left_is_refused(name: str, method: str) -> None:
    scores = random_scores(3, 4)
    scores[2, 3] = float("-inf")
    with pytest.raises(ValueError, match="sentence 2 has no legal structure"):
        getattr(STRUCTURES[name], method)(scores, full_mask(scores))


@pytest.mark.parametrize("name", [name for name in STRUCTURES if "tree" in name])
@pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals"])
def test_trees_that_only_the_whole_sentence_excludes(name: str, method: str) -> None:
    """Each token has a head, but there is no tree: a cycle that nothing enters, or two tokens that need ROOT."""
    scores = random_scores(2, 4)
    scores[1, 1, [0, 3]] = scores[1, 2, [0, 3]] = float("-inf")
    with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
        getattr(STRUCTURES[name], method)(scores, full_mask(scores))
    if "single root" in name:
        scores = random_scores(2, 4)
        scores[1, 1, 2:] = scores[1, 3, 1:] = float("-inf")
        with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
            getattr(STRUCTURES[name], method)(scores, full_mask(scores))


@all_structures
def test_forbidden_arcs_are_not_used(name: str) -> None:
    structure, every = STRUCTURES[name], enumerated(name, 5)
    scores = random_scores(200, 5)
    scores[torch.rand(scores.shape, generator=torch.Generator().manual_seed(1)) < 0.5] = float("-inf")
    scores = scores[oracles.best_scores(every, scores) > float("-inf")]
    assert len(scores) > 20
    mask = full_mask(scores)
    z = structure.argmax(scores, mask)
    assert (z[scores == float("-inf")] == 0).all()
    torch.testing.assert_close(
        oracles.total_scores(every, scores).amax(1), (z * scores).nan_to_num(0, 0, 0).sum((1, 2))
    )
    torch.testing.assert_close(structure.log_partition(scores, mask), oracles.log_partition(every, scores))
    torch.testing.assert_close(structure.marginals(scores, mask), oracles.marginals(every, scores))
    scores.requires_grad_()
    structure.marginals(scores, mask)[:, 1, 0].sum().backward()
    assert scores.grad.isfinite().all()


@all_structures
def test_the_least_finite_score_is_nearly_forbidden(name: str) -> None:
    structure, every = STRUCTURES[name], enumerated(name, 4)
    scores = random_scores(5, 4)
    scores[:, 2, 1] = torch.finfo(torch.float64).min
    forbidden = scores.where(scores > -1e9, float("-inf"))
    mask = full_mask(scores)
    torch.testing.assert_close(structure.log_partition(scores, mask), oracles.log_partition(every, forbidden))
    torch.testing.assert_close(structure.marginals(scores, mask), oracles.marginals(every, forbidden))
    assert torch.equal(structure.argmax(scores, mask), structure.argmax(forbidden, mask))


@all_structures
def test_wrong_shapes_are_refused(name: str) -> None:
    structure = STRUCTURES[name]
    for scores, mask in (
        (torch.randn(2, 3), torch.ones(2, 3).bool()),
        (torch.randn(2, 3, 4), torch.ones(2, 3).bool()),
        (torch.randn(2, 3, 3), torch.ones(2, 4).bool()),
        (torch.randn(2, 3, 3), torch.ones(2, 3)),
        (torch.ones(2, 3, 3, dtype=torch.long), torch.ones(2, 3).bool()),
    ):
        for method in METHODS:
            with pytest.raises(ValueError, match=r"scores must be|mask must be"):
                getattr(structure, method)(scores, mask)


@all_structures
def test_projections_are_nearest(name: str) -> None:
    """`(x - p) . (q - p) <= 0` for every structure q. The relaxation is the hull of the single heads."""
    structure = STRUCTURES[name]
    point = random_scores(10, 4) * 2
    mask = full_mask(point)
    for project, corners in (
        (structure.project, enumerated(name, 4)),
        (structure.project_local, oracles.structures("single_head", 4)),
    ):
        p = project(point, mask)
        residual = (point - p).where(legal_arcs(mask), 0.0)
        gains = oracles.total_scores(corners, residual) - (residual * p).sum((1, 2)).unsqueeze(1)
        assert gains.max() < 1e-6
        # p is in the hull: it is its own projection, and no direction separates it from the corners.
        torch.testing.assert_close(project(p, mask), p, rtol=0, atol=1e-6)
        directions = random_scores(10, 4, seed=1)
        assert ((directions * p).sum((1, 2)) <= oracles.best_scores(corners, directions) + 1e-6).all()


@all_structures
def test_parts_are_the_cells_that_some_structure_uses(name: str) -> None:
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    parts = STRUCTURES[name].parts(random_scores(2, 4), mask)
    assert torch.equal(parts, legal_arcs(mask))
    assert torch.equal(parts[0], enumerated(name, 4).any(0))


@pytest.mark.parametrize("structure", [SingleHead(), NonprojectiveTree(), ProjectiveTree()])
def test_a_sentence_without_root_is_refused(structure):
    with pytest.raises(ValueError, match="no position 0"):
        structure.argmax(torch.zeros(2, 0, 0), torch.zeros(2, 0, dtype=torch.bool))
