"""Samples, the best structures and what follows from other operations, at the lengths that users have."""

import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import (
    KSubset,
    LinearChain,
    SemanticGraph,
    Structure,
)
from tests import oracles
from tests.structures.cases import CASES, Case, every_case, every_tree, generator
from tests.structures.sentences import full_mask


@every_tree
def test_trees_that_only_the_whole_sentence_excludes(case: Case) -> None:
    scores = case.random(37, 2, 4)
    scores[1, 1, [0, 3]] = scores[1, 2, [0, 3]] = -torch.inf
    for operation in (lambda s, m: case.structure.sample(s, m), lambda s, m: case.structure.top_k(s, m, 2)):
        with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
            operation(scores, full_mask(scores))


# Long sentences


@every_tree
@pytest.mark.parametrize("length", [40, 200])
def test_samples_of_long_sentences(case: Case, length: int) -> None:
    scores = 2 * case.random(40, 2, length)
    mask = full_mask(scores)
    mask[1, [3, 7, 8]] = False
    count = 400
    samples = case.structure.sample(scores, mask, count, generator(3))
    for z in samples[:20].flatten(0, 1):
        assert_tree(case, z)
    # Standardised, all arcs together: of so many normal variables, the mean square is near 1.
    expected = case.structure.marginals(scores, mask)
    likely = expected * (1 - expected) * count > 2
    deviation = (samples.mean(0) - expected)[likely] / (expected * (1 - expected) / count)[likely].sqrt()
    assert deviation.abs().max() < 6
    assert 0.9 < (deviation**2).mean() < 1.1
    # The entropy is what the samples are worth on average.
    worth = -case.structure.log_prob(samples, scores, mask)
    error = worth.std(0) / count**0.5
    assert ((worth.mean(0) - case.structure.entropy(scores, mask)).abs() < 4 * error).all()


@every_tree
@pytest.mark.parametrize("length", [40, 200])
def test_top_k_of_long_sentences(case: Case, length: int) -> None:
    scores = case.random(41, 2, length)
    mask = full_mask(scores)
    mask[1, [3, 7, 8]] = False
    structures, found = case.structure.top_k(scores, mask, 30)
    assert (found.diff(dim=0) <= 0).all()
    assert torch.equal(structures[0], case.structure.argmax(scores, mask))
    torch.testing.assert_close((structures * scores).sum((2, 3)), found)
    for sentence in range(2):
        assert len(structures[:, sentence].flatten(1).unique(dim=0)) == 30
        for z in structures[:, sentence]:
            assert_tree(case, z)
    if length == 40:
        generic, worth = Structure.top_k(case.structure, scores, mask, 30)
        torch.testing.assert_close(worth, found)
        assert torch.equal(generic, structures)


def assert_tree(case: Case, z: torch.Tensor) -> None:
    rows = z.any(1)
    heads = (0, *z[1:].argmax(1).tolist())
    kept = [0, *(rows.nonzero().squeeze(1).tolist())]
    assert (z.sum(1) == rows).all()
    number = {position: i for i, position in enumerate(kept)}
    heads = (0, *(number[heads[position]] for position in kept[1:]))
    assert oracles.is_tree(heads)
    if case.name.startswith("projective"):
        assert oracles.is_projective(heads)
    assert not case.structure.single_root or heads[1:].count(0) == 1


def test_long_chains() -> None:
    structure = LinearChain()
    scores = torch.randn(3, 200, 5, 5, generator=generator(4)).double()
    mask = full_mask(scores)
    mask[1, 150:] = False
    mask[2, [0, 1, 50]] = False
    count = 400
    samples = structure.sample(scores, mask, count, generator(5))
    expected = structure.marginals(scores, mask)
    likely = expected * (1 - expected) * count > 2
    deviation = (samples.mean(0) - expected)[likely] / (expected * (1 - expected) / count)[likely].sqrt()
    assert deviation.abs().max() < 6 and 0.9 < (deviation**2).mean() < 1.1
    structures, found = structure.top_k(scores, mask, 30)
    assert torch.equal(structures[0], structure.argmax(scores, mask))
    for z in (structures, samples):
        # Labels follow each other.
        labels = z.sum(3)[..., mask[0], :]
        assert torch.equal(labels.sum(3), mask.expand(len(z), -1, -1).double())
        torch.testing.assert_close(z[:, 0].sum(2)[:, :-1], z[:, 0].sum(3)[:, 1:])
    torch.testing.assert_close((structures * scores).flatten(2).sum(2), found)
    generic, worth = Structure.top_k(structure, scores, mask, 10)
    torch.testing.assert_close(worth, found[:10])
    assert torch.equal(generic, structures[:10])


def test_subsets_of_long_sentences() -> None:
    structure = KSubset(20)
    scores = torch.randn(2, 200, generator=generator(6)).double()
    mask = full_mask(scores)
    mask[1, 100:] = False
    samples = structure.sample(scores, mask, 4000, generator(7))
    assert (samples.sum(2) == 20).all()
    expected = structure.marginals(scores, mask)
    likely = expected > 0.01
    deviation = (samples.mean(0) - expected)[likely] / (expected * (1 - expected) / 4000)[likely].sqrt()
    assert deviation.abs().max() < 6 and 0.8 < (deviation**2).mean() < 1.2
    structures, found = structure.top_k(scores, mask, 30)
    generic, worth = Structure.top_k(structure, scores, mask, 30)
    torch.testing.assert_close(worth, found)
    assert torch.equal(generic, structures)


@pytest.mark.parametrize("deterministic", [None, [0, 2, 3]])
def test_graphs_of_long_sentences(deterministic: list[int] | None) -> None:
    structure = SemanticGraph(predicates=True, deterministic_labels=deterministic)
    scores = torch.randn(2, 30, 30, 4, generator=generator(8)).double() - 1
    mask = full_mask(scores)
    mask[1, 20:] = False
    structures, found = structure.top_k(scores, mask, 20)
    assert torch.equal(structures[0], structure.argmax(scores, mask))
    assert (found.diff(dim=0) <= 0).all()
    torch.testing.assert_close((structures * scores).flatten(2).sum(2), found)
    for sentence in range(2):
        assert len(structures[:, sentence].flatten(1).unique(dim=0)) == 20
    if deterministic:
        assert (structures[..., 1:, :].sum(3)[..., deterministic] <= 1).all()
    samples = structure.sample(scores, mask, 400, generator(9))
    expected = structure.marginals(scores, mask)
    deviation = (samples.mean(0) - expected) / (expected * (1 - expected) / 400).sqrt().clamp(min=1e-3)
    assert deviation.abs().max() < 6


# Structures of a user


class Ordered(Structure):
    """As many positions from the left as one likes: structures of all sizes, of which only the argmax is known."""

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        worth = torch.nn.functional.pad(scores.cumsum(1).masked_fill(~mask, -torch.inf), (1, 0))
        return (torch.arange(scores.size(1)) < worth.argmax(1, keepdim=True)).to(scores.dtype)


class Coins(Structure):
    """Each position or not: only the log-partition function is written."""

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(scores).masked_fill(~mask, 0).sum(1)


def test_what_follows_from_an_argmax() -> None:
    structure = Ordered()
    assert structure.operations() == {"argmax", "project", "project_local", "top_k"}
    with pytest.raises(ConfigurationError, match="a test needs sample, and Ordered has none"):
        structure.require("top_k", "sample", by="a test")
    scores = torch.tensor([[1.0, -3.0, 1.5, -0.25], [-1.0, -1.0, -torch.inf, 5.0]])
    structures, found = structure.top_k(scores, full_mask(scores), 6)
    assert found[:, 0].tolist() == [1.0, 0.0, -0.5, -0.75, -2.0, -torch.inf]
    assert structures[:, 0].sum(1).tolist() == [1, 0, 3, 4, 2, 0]
    assert found[:, 1].tolist() == [0.0, -1.0, -2.0] + [-torch.inf] * 3


def test_what_follows_from_a_log_partition() -> None:
    structure = Coins()
    expected = {"log_partition", "marginals", "log_prob", "entropy", "cross_entropy", "kl"}
    assert structure.operations() == expected
    scores = torch.zeros(2, 3)
    mask = torch.tensor([[True] * 3, [True, False, False]])
    torch.testing.assert_close(structure.entropy(scores, mask), torch.tensor([3.0, 1.0]) * torch.log(torch.tensor(2.0)))


def test_all_that_is_there_can_be_called() -> None:
    names = {"log_prob", "entropy", "cross_entropy", "kl", "sample", "top_k", "minimum_bayes_risk"}
    for case in CASES:
        assert names <= case.structure.operations()


@every_case
def test_memory_layout_and_empty_batches(case: Case) -> None:
    scores = case.random(35, 4)
    scattered = scores.movedim(0, -1).contiguous().movedim(-1, 0)
    assert not scattered.is_contiguous()
    mask, structure = full_mask(scores), case.structure
    assert torch.equal(structure.top_k(scattered, mask, 3)[0], structure.top_k(scores, mask, 3)[0])
    assert torch.equal(
        structure.sample(scattered, mask, 3, generator()), structure.sample(scores, mask, 3, generator())
    )
    assert structure.top_k(scores[:0], mask[:0], 3)[0].shape == (3, *scores[:0].shape)
    assert structure.sample(scores[:0], mask[:0], 3).shape == (3, *scores[:0].shape)
    assert structure.entropy(scores[:0], mask[:0]).shape == (0,)
