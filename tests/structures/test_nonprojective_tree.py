import pytest
import torch

from spigot_allennlp.nn.kernels.matrix_tree import sum_over_arborescences
from spigot_allennlp.nn.partition import sum_on_host
from spigot_allennlp.structures import NonprojectiveTree
from spigot_allennlp.structures.nonprojective_tree import _sum_in_log_space
from tests import oracles
from tests.structures.sentences import either_root, full_mask, random_scores


def heads_of(z: torch.Tensor) -> list[tuple[int, ...]]:
    return [(0, *heads) for heads in z[:, 1:].argmax(2).tolist()]


def best_by_peer(scores: torch.Tensor, single_root: bool) -> float:
    """The best tree's score by another implementation; with a single root, by trying each."""
    chu_liu_edmonds = pytest.importorskip("ufal.chu_liu_edmonds", reason="it has no wheel for this Python")
    length = len(scores)
    tops = range(1, length) if single_root else [0]
    best = -float("inf")
    for top in tops:
        allowed = scores.clone()
        if top > 0:
            allowed[:, 0] = -1e6
            allowed[top, 0] = scores[top, 0]
        heads, _ = chu_liu_edmonds.chu_liu_edmonds(allowed.numpy())
        best = max(best, sum(float(allowed[token, heads[token]]) for token in range(1, length)))
    return best


@either_root
@pytest.mark.parametrize("length", [2, 7, 20, 40])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_argmax_is_as_good_as_a_peer_s(single_root: bool, length: int, levels: int) -> None:
    # Few levels make many ties, and many cycles of cycles.
    scores = (random_scores(10, length) * levels / 2).round()
    z = NonprojectiveTree(single_root).argmax(scores, full_mask(scores))
    for sentence, heads in enumerate(heads_of(z)):
        assert oracles.is_tree(heads)
        assert not single_root or heads[1:].count(0) == 1
        assert (z[sentence] * scores[sentence]).sum() == best_by_peer(scores[sentence], single_root)


@either_root
def test_long_sentences(single_root: bool) -> None:
    # Every token wants the next one as its head, the last one wants the first: one cycle of all tokens.
    length = 1000
    scores = random_scores(1, length) * 1e-3
    tokens = torch.arange(1, length)
    scores[0, tokens, tokens.roll(-1)] += 1
    (heads,) = heads_of(NonprojectiveTree(single_root).argmax(scores, full_mask(scores)))
    assert oracles.is_tree(heads) and heads[1:].count(0) == 1
    top = heads.index(0, 1)
    assert all(heads[token] == token % (length - 1) + 1 for token in range(1, length) if token != top)


@either_root
def test_likely_cycles_cost_no_digits(single_root: bool) -> None:
    """Two tokens like each other e^30, or e^200, times as much as anything else."""
    for gap in 30.0, 200.0:
        scores = random_scores(4, 5)
        scores[:, 1, 2] += gap
        scores[:, 2, 1] += gap
        every = oracles.nonprojective_trees(5, single_root)
        mask = full_mask(scores)
        _, marginals = sum_on_host(sum_over_arborescences, scores, mask, single_root, direction=None)
        torch.testing.assert_close(marginals, oracles.marginals(every, scores), rtol=1e-12, atol=1e-14)
        log_z = NonprojectiveTree(single_root).log_partition(scores, mask)
        torch.testing.assert_close(log_z, oracles.log_partition(every, scores), rtol=1e-14, atol=0)


@either_root
@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0, 3e4])
def test_sums_without_marginals_are_the_same(single_root: bool, scale: float) -> None:
    """On scores that float64 holds, that count as the lowest, and that have to be summed in log space."""
    scores = scale * random_scores(40, 6)
    scores[:20].masked_fill_(random_scores(20, 6, seed=1) > 1, -torch.inf)
    scores[:, 1:, 0].clamp_(min=-scale)
    scores[10:30, 1, 2] = scores[10:30, 2, 1] = 3 * scale
    log_z = NonprojectiveTree(single_root).log_partition(scores, full_mask(scores))
    every = oracles.nonprojective_trees(6, single_root)
    torch.testing.assert_close(log_z, oracles.log_partition(every, scores.clamp(min=-1e9)), rtol=1e-13, atol=1e-11)
    with_marginals = NonprojectiveTree(single_root).log_partition_and_marginals(scores, full_mask(scores))[0]
    torch.testing.assert_close(log_z, with_marginals, rtol=1e-14, atol=1e-12)


@either_root
def test_scores_out_of_range_are_summed_all_the_same(single_root: bool) -> None:
    scores = random_scores(1, 5)
    scores[:, 1, 2] += 1e4
    scores[:, 2, 1] += 1e4
    mask = full_mask(scores)
    with pytest.raises(FloatingPointError):
        sum_on_host(sum_over_arborescences, scores, mask, single_root, direction=None)
    every = oracles.nonprojective_trees(5, single_root)
    scores.requires_grad_()
    marginals = NonprojectiveTree(single_root).marginals(scores, mask)
    torch.testing.assert_close(marginals.detach(), oracles.marginals(every, scores.detach()))
    assert torch.autograd.gradcheck(lambda s: NonprojectiveTree(single_root).marginals(s, mask), scores)


def test_a_sure_tree_of_many_tokens_stays_in_range() -> None:
    """Each token is surer of its head than e^30 to 1: the sums of all trees range over more than floats do."""
    length = 60
    scores = random_scores(2, length)
    tokens = torch.arange(1, length)
    scores[0, tokens, tokens - 1] += 30
    scores[1, tokens[:-1], tokens[:-1] + 1] += 30
    scores[1, length - 1, 0] += 30
    mask = full_mask(scores)
    for single_root in (False, True):
        log_z, marginals = sum_on_host(sum_over_arborescences, scores, mask, single_root, direction=None)
        by_torch = _sum_in_log_space(scores, mask, single_root)
        torch.testing.assert_close((log_z, marginals), by_torch, rtol=1e-11, atol=1e-12)
        assert (marginals.amax(2)[:, 1:] > 1 - 1e-9).all()


@either_root
def test_third_derivatives(single_root: bool) -> None:
    scores, direction, step = random_scores(2, 12).requires_grad_(), random_scores(2, 12, seed=1), 1e-4

    def curvature(s: torch.Tensor) -> torch.Tensor:
        marginals = NonprojectiveTree(single_root).marginals(s, full_mask(s))
        (gradient,) = torch.autograd.grad((marginals * direction).sum(), s, create_graph=True)
        return (gradient * direction).sum()

    (gradient,) = torch.autograd.grad(curvature(scores), scores)
    there, back = (curvature(scores + sign * step * direction) for sign in (1, -1))
    torch.testing.assert_close((gradient * direction).sum(), (there - back) / (2 * step), rtol=1e-5, atol=1e-7)
