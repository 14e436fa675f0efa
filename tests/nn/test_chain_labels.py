"""SparseMAP of label sequences whose labels alone are penalised."""

import numpy as np
import pytest
import torch
from allennlp.common.checks import ConfigurationError
from scipy.optimize import minimize

from spigot_allennlp.nn.kernels import chain_labels as kernel
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures import LinearChain
from spigot_allennlp.surrogates import SparseMap, Spigot
from tests.nn.slopes import compare_slopes, random
from tests.oracles import best_scores, label_sequences
from tests.structures.sentences import full_mask

CHAIN = LinearChain(penalised="labels")
SCALES = [0, 1e-6, 1e-3, 0.1, 1, 10, 1e4]


def mix(scores: torch.Tensor) -> torch.Tensor:
    return CHAIN.sparsemap(scores, full_mask(scores))


def labels_of(x: torch.Tensor) -> torch.Tensor:
    return x.sum(2)


def assert_best(x: torch.Tensor, scores: torch.Tensor) -> None:
    """A flow of 1 from which no sequence is uphill."""
    assert (x >= 0).all() and not x[~CHAIN.parts(scores, full_mask(scores))].any()
    torch.testing.assert_close(labels_of(x)[:, :-1], x.sum(3)[:, 1:], rtol=0, atol=1e-9)
    torch.testing.assert_close(x.sum((2, 3)), torch.ones_like(x[:, :, 0, 0]), rtol=0, atol=1e-9)
    slope = scores - labels_of(x).unsqueeze(2)
    best = CHAIN.argmax(slope, full_mask(scores))
    gap = (slope.where(slope > -torch.inf, 0.0) * (best - x)).flatten(1).sum(1)
    assert (gap < 1e-9 * scores.size(1) * max(1.0, scores[scores > -torch.inf].abs().max().item())).all()


def listed_labels(scores: torch.Tensor, structures: torch.Tensor) -> torch.Tensor:
    """The labels of the best mixture of all sequences, `(length, labels)`, by a solver for any objective."""
    worth = torch.einsum("zpij,pij->z", structures, scores).numpy()
    labels = labels_of(structures).flatten(1).numpy()
    count = len(structures)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = weights @ labels
        return mixed @ mixed / 2 - weights @ worth, labels @ mixed - worth

    result = minimize(
        cost,
        np.full(count, 1 / count),
        jac=True,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return torch.from_numpy(result.x @ labels).view(scores.shape[0], -1)


@pytest.mark.parametrize("length, labels", [(1, 3), (3, 3), (5, 2)])
@pytest.mark.parametrize("scale", [0.1, 0.5, 2])
def test_labels_are_those_of_the_best_mixture_of_all_sequences(length, labels, scale):
    structures = label_sequences(length, labels)
    scores = scale * random(10, length, labels, labels)
    for x, of_sentence in zip(mix(scores), scores, strict=True):
        torch.testing.assert_close(labels_of(x[None])[0], listed_labels(of_sentence, structures), rtol=0, atol=1e-5)


@pytest.mark.parametrize("length, labels", [(1, 1), (20, 4), (60, 8), (100, 5), (1000, 3)])
@pytest.mark.parametrize("scale", SCALES)
def test_no_sequence_is_better(length, labels, scale):
    scores = scale * random(4, length, labels, labels)
    assert_best(mix(scores), scores)


@pytest.mark.parametrize(
    "scores",
    [
        random(20, 25, 4, 4).round(),
        random(20, 25, 1, 4).expand(20, 25, 4, 4),  # of the labels alone
        random(20, 1, 4, 4).expand(20, 25, 4, 4),  # of transitions alone
        random(20, 25, 4, 1) * random(20, 25, 1, 4, seed=1),
        random(20, 25, 4, 4) ** 5,
    ],
)
def test_no_sequence_is_better_where_many_are_alike(scores):
    assert_best(mix(scores), scores)


def test_zero_scores_are_mixed_evenly():
    x = mix(torch.zeros(1, 4, 3, 3, dtype=torch.double))
    torch.testing.assert_close(x[0, 0, 0], torch.full((3,), 1 / 3).double())
    torch.testing.assert_close(x[0, 1:], torch.full((3, 3, 3), 1 / 9).double(), rtol=0, atol=1e-5)


def test_scores_of_labels_alone_are_projected_token_by_token():
    unary = random(3, 12, 4).requires_grad_()
    labels = labels_of(mix(unary.unsqueeze(2).expand(3, 12, 4, 4)))
    expected = project_onto_simplex(unary, torch.ones(3, 12, 4, dtype=torch.bool))
    torch.testing.assert_close(labels, expected, rtol=0, atol=1e-9)
    gradients = [torch.autograd.grad((y * random(3, 12, 4, seed=1)).sum(), unary)[0] for y in (labels, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-7)


@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_forbidden_pairs(rate):
    scores = random(60, 5, 3, 3)
    scores[torch.rand(scores.shape, generator=torch.Generator().manual_seed(1)) < rate] = -torch.inf
    possible = best_scores(label_sequences(5, 3), scores) > -torch.inf
    assert not possible.all()
    with pytest.raises(ValueError, match=f"sentence {int((~possible).nonzero()[0])} has no legal structure"):
        mix(scores)
    scores = scores[possible].requires_grad_()
    x = mix(scores)
    assert not x[scores == -torch.inf].any()
    assert_best(x.detach(), scores.detach())
    (gradient,) = torch.autograd.grad(x.square().sum(), scores)
    assert gradient.isfinite().all() and not gradient[scores == -torch.inf].any()


@pytest.mark.parametrize("length, labels", [(5, 2), (20, 4), (60, 3), (200, 3)])
@pytest.mark.parametrize("sd", [0.1, 1, 3])
def test_derivatives_of_labels_are_slopes(length, labels, sd):
    scores = sd * random(4, length, labels, labels, seed=length)
    products, slopes, smooth = compare_slopes(
        lambda s: labels_of(mix(s)).unsqueeze(2).expand(s.shape), scores, random(*scores.shape, seed=7)
    )
    assert smooth.sum() >= 2
    torch.testing.assert_close(products[smooth], slopes[smooth], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sd", [0.3, 1])
def test_derivatives_of_pairs_are_slopes_where_their_scores_differ(sd):
    scores = sd * random(4, 20, 3, 3, seed=3)
    products, slopes, smooth = compare_slopes(mix, scores, random(*scores.shape, seed=7))
    assert smooth.sum() >= 2
    torch.testing.assert_close(products[smooth], slopes[smooth], rtol=1e-5, atol=1e-5)


def test_exchanges_of_pairs_have_no_derivative():
    scores = torch.zeros(1, 5, 3, 3, dtype=torch.double, requires_grad=True)
    exchange = torch.zeros_like(scores)
    exchange[0, 2, :2, :2] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    (gradient,) = torch.autograd.grad((mix(scores) * exchange).sum(), scores)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-8)


def test_masks_leave_out_tokens_anywhere():
    scores = random(4, 6, 3, 3).requires_grad_()
    weights = random(4, 6, 3, 3, seed=1)
    mask = torch.tensor([[True] * 6, [False, True, True, False, True, False], [False] * 6, [True] + [False] * 5])
    x = CHAIN.sparsemap(scores, mask)
    (gradient,) = torch.autograd.grad(x, scores, weights)
    assert not x[~mask].any() and not gradient[~mask].any()
    for sentence, kept in enumerate(mask):
        alone = scores[sentence : sentence + 1, kept].detach().requires_grad_()
        y = mix(alone)
        torch.testing.assert_close(x[sentence : sentence + 1, kept], y)
        (of_alone,) = torch.autograd.grad(y, alone, weights[sentence : sentence + 1, kept])
        torch.testing.assert_close(gradient[sentence : sentence + 1, kept], of_alone)


def test_dtypes():
    scores = random(2, 7, 3, 3)
    for dtype in (torch.float32, torch.bfloat16):
        x = mix(scores.to(dtype))
        assert x.dtype == dtype
        torch.testing.assert_close(x.double(), mix(scores.to(dtype).double()), rtol=0, atol=torch.finfo(dtype).eps)
    with pytest.raises(ValueError, match=r"NaN or \+inf in sentence 1"):
        mix(torch.stack([scores[0], scores[1] * torch.nan]))


def test_layers_take_it():
    scores, mask = random(2, 6, 3, 3), torch.ones(2, 6, dtype=torch.bool)
    layer = SparseMap(CHAIN)
    assert torch.equal(layer(scores, mask), mix(scores))
    assert not torch.allclose(layer(scores, mask), SparseMap(LinearChain())(scores, mask))
    gradients = []
    for structure in (CHAIN, LinearChain()):
        leaf = scores.clone().requires_grad_()
        (Spigot(structure, polytope="exact")(leaf, mask) * random(2, 6, 3, 3, seed=1)).sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients) and gradients[0].any()


def test_what_can_be_penalised():
    with pytest.raises(ConfigurationError, match="penalised must be 'pairs' or 'labels', but is 'arcs'"):
        LinearChain(penalised="arcs")


def test_what_rounding_spoils_is_an_error(monkeypatch):
    from spigot_allennlp.nn.kernels import chain_hull

    project = chain_hull.mix_sequences

    def fail_once(scores, mask, mixtures, done):
        status = project(scores, mask, mixtures, done)
        done[1] = False
        return status

    monkeypatch.setattr(chain_hull, "mix_sequences", fail_once)
    with pytest.raises(RuntimeError, match="sentence 1"):
        mix(random(2, 4, 2, 2))


def test_a_face_that_is_wrong_is_mended():
    """From the mixture of all, on the face of all, what does not belong there leaves; from one sequence, more join."""
    value = random(8, 4, 4).numpy().copy()
    value[0, 1:] = -np.inf
    assert kernel.tighten(value)
    expected, _ = kernel.best_labels(value)
    for start in (value > -np.inf, value == 0):
        flow, gain = kernel._on_face(value, np.zeros_like(value), np.zeros((9, 4)), start.copy())
        assert gain < 1e-9
        np.testing.assert_allclose(flow, expected, atol=1e-9)
