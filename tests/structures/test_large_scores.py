"""Where sums over structures are exact, and where they are refused."""

import pytest
import torch

from spigot_allennlp.structures import (
    KSubset,
    LinearChain,
    NonprojectiveTree,
    ProjectiveTree,
    SemanticGraph,
    SingleHead,
    Structure,
)
from tests import oracles
from tests.oracles import graphs, k_subsets, label_sequences

# A structure, and all its structures over one sentence.
SUMS = {
    "nonprojective_tree": (NonprojectiveTree(), oracles.nonprojective_trees(5)),
    "nonprojective_tree, single root": (NonprojectiveTree(True), oracles.nonprojective_trees(5, True)),
    "projective_tree": (ProjectiveTree(), oracles.projective_trees(5)),
    "projective_tree, single root": (ProjectiveTree(True), oracles.projective_trees(5, True)),
    "linear_chain": (LinearChain(), label_sequences(4, 3)),
    "k_subset": (KSubset(3), k_subsets(7, 3)),
    "semantic_graph, predicates": (SemanticGraph(predicates=True), graphs(3, 1, predicates=True)),
}
# Those whose parts decide each for themselves: what is large is never added up.
PRODUCTS = {
    "single_head": (SingleHead(), oracles.single_heads(4)),
    "semantic_graph": (SemanticGraph(), graphs(3, 2)),
}
WITH_NEEDED_PARTS = [name for name in SUMS if "graph" not in name and name != "k_subset"]


def mask_of(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[:2], dtype=torch.bool)


def large_scores(every: torch.Tensor, size: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Scores that are 0, 1 or 2 times `size` but for small differences, so that many structures tie in what is large, and
    the marginals, in which the two are never added: only structures that are best in the first matter, by the second.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = every.shape[1:]
    multiple = torch.randint(-1, 2, shape, generator=generator).double()
    small = torch.randn(shape, generator=generator, dtype=torch.double).where(multiple == 0, 0.0)
    totals = [(every * part).flatten(1).sum(1) for part in (multiple, small)]
    probabilities = totals[1].where(totals[0] == totals[0].max(), -torch.inf).softmax(0)
    return size * multiple + small, torch.tensordot(probabilities, every.double(), 1)


def error(structure: Structure, every: torch.Tensor, size: float) -> float:
    cases = [large_scores(every, size, seed) for seed in range(40)]
    scores, expected = (torch.stack(tensors) for tensors in zip(*cases, strict=True))
    return float((structure.marginals(scores, mask_of(scores)) - expected).abs().max())


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("size, tolerance", [(1e3, 1e-11), (1e6, 1e-8), (1e9, 1e-5)])
def test_sums_lose_no_more_than_float64_must(name: str, size: float, tolerance: float) -> None:
    assert error(*SUMS[name], size) < tolerance


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("size", [1e3, 1e9, 1e13, 1e20, 1e30, 1e300])
def test_products_are_exact_at_any_size(name: str, size: float) -> None:
    assert error(*PRODUCTS[name], size) < 1e-14


@pytest.mark.parametrize("operation", ["log_partition", "marginals"])
@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("size", [1.1e9, 1e13, 1e20, 1e30, 1e300])
def test_larger_scores_are_refused(name: str, size: float, operation: str) -> None:
    structure, every = SUMS[name]
    part = every[-1].nonzero()[0].tolist()  # one that some structure uses
    scores = torch.zeros(3, *every.shape[1:], dtype=torch.double)
    scores[(1, *part)] = size
    with pytest.raises(ValueError, match=r"expected scores up to 1e\+09 in absolute value, .*sentence 1"):
        getattr(structure, operation)(scores, mask_of(scores))
    assert structure.argmax(scores, mask_of(scores))[(1, *part)] == 1


@pytest.mark.parametrize("operation", ["log_partition", "marginals"])
@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("size", [1e9, 1e12, 1e20, 1e30, 1e38, torch.inf])
def test_parts_that_are_not_needed_may_be_as_bad_as_they_like(name: str, size: float, operation: str) -> None:
    structure, every = SUMS[name]
    parts, chosen = every.amax(0) > 0, every[0] > 0
    scores = torch.randn(1, *chosen.shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    barred = parts & ~chosen & (torch.rand(chosen.shape, generator=torch.Generator().manual_seed(1)) < 0.5)
    scores[0][barred] = -size
    left = every[~(every.bool() & barred).flatten(1).any(1)]
    totals = (left * scores[0].where(~barred, 0.0)).flatten(1).sum(1)
    expected = {"log_partition": totals.logsumexp(0), "marginals": torch.tensordot(totals.softmax(0), left.double(), 1)}
    result = getattr(structure, operation)(scores, mask_of(scores))[0]
    torch.testing.assert_close(result, expected[operation], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("operation", ["log_partition", "marginals"])
@pytest.mark.parametrize("name", WITH_NEEDED_PARTS)
@pytest.mark.parametrize(
    "size, message",
    [
        (1e13, r"expected scores up to 1e\+09"),
        (1e20, r"expected scores up to 1e\+09"),
        (1e31, "no legal structure"),
        (torch.inf, "no legal structure"),
    ],
)
def test_parts_that_are_needed_may_not(name: str, size: float, message: str, operation: str) -> None:
    """All of one token's parts."""
    structure, every = SUMS[name]
    scores = torch.zeros(3, *every.shape[1:], dtype=torch.double)
    scores[1, 2] = -size
    with pytest.raises(ValueError, match=message) as raised:
        getattr(structure, operation)(scores, mask_of(scores))
    assert "sentence 1" in str(raised.value)


def test_the_log_space_sums_of_other_devices_draw_the_same_bounds() -> None:
    from spigot_allennlp.structures import nonprojective_tree, projective_tree

    mask = torch.ones(2, 4, dtype=torch.bool)
    for module in (nonprojective_tree, projective_tree):
        for value, message in ((1.1e9, "up to"), (-1e13, "up to"), (-1e31, "no legal structure"), (torch.nan, "NaN")):
            scores = torch.zeros(2, 4, 4, dtype=torch.double)
            scores[1, 2] = value
            with pytest.raises(ValueError, match=message) as raised:
                module._sum_in_log_space(scores, mask, False)
            assert "sentence 1" in str(raised.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_predicates_are_told_from_what_cancels(dtype: torch.dtype) -> None:
    """A predicate's own score against a hundred arcs: float32 would lose their difference."""
    scores = torch.zeros(1, 102, 102, 1, dtype=dtype)
    scores[:, 1, 2:] = 1.0e6
    scores[:, 1, 0] = -100e6
    exact = scores.double()
    is_on = (exact[0, 1, 2:].sum() + exact[0, 1, 0, 0]).sigmoid()
    marginals = SemanticGraph(predicates=True).marginals(scores, mask_of(scores))
    torch.testing.assert_close(marginals[0, 1, 0, 0].double(), is_on, rtol=0, atol=0.01)


HALF = {
    "single_head": (SingleHead(), (60, 60)),
    "nonprojective_tree": (NonprojectiveTree(), (60, 60)),
    "projective_tree": (ProjectiveTree(), (60, 60)),
    "linear_chain": (LinearChain(), (60, 2, 2)),
    "k_subset": (KSubset(50), (60,)),
    "semantic_graph": (SemanticGraph(), (60, 60, 2)),
}


@pytest.mark.parametrize("name", HALF)
def test_a_log_partition_that_float16_cannot_hold(name: str) -> None:
    """It is inf, as documented; its gradient is right, and float32 holds it."""
    structure, shape = HALF[name]
    scores = (2000 + torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))).half().requires_grad_()
    log_z = structure.log_partition(scores, mask_of(scores))
    assert log_z.dtype == torch.float16 and log_z.isinf().all()
    (gradient,) = torch.autograd.grad(log_z.sum(), scores)
    torch.testing.assert_close(gradient, structure.marginals(scores, mask_of(scores)), rtol=0.01, atol=0.01)
    torch.testing.assert_close(
        structure.log_partition(scores.detach().float(), mask_of(scores)).double(),
        structure.log_partition(scores.detach().double(), mask_of(scores)),
        rtol=1e-6,
        atol=0,
    )
