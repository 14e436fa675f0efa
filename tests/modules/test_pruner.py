import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.modules import ParserPruner
from spigot_allennlp.structures import LinearChain, NonprojectiveTree, SingleHead
from tests.oracles import nonprojective_trees


class Scored(torch.nn.Module):
    """A parser whose text is its scores."""

    def __init__(self, structure):
        super().__init__()
        self.structure = structure
        self.weight = torch.nn.Parameter(torch.ones(()))

    def encode(self, tokens):
        return tokens, torch.ones(tokens.shape[:2], dtype=torch.bool)

    def score(self, encoded):
        return self.weight * encoded


def prune(scores, structure=None, **settings):
    return ParserPruner(Scored(structure or NonprojectiveTree(single_root=True)), **settings)(scores)


@pytest.mark.parametrize("threshold", [0.0, 1e-2, 0.3])
def test_arcs_are_left_by_their_posterior(threshold):
    torch.manual_seed(0)
    scores = 3 * torch.randn(20, 5, 5)
    trees = nonprojective_trees(5, single_root=True).float()
    for sentence, kept in zip(scores, prune(scores, threshold=threshold), strict=True):
        worth = (trees * sentence).sum((1, 2))
        posterior = (worth.softmax(0).view(-1, 1, 1) * trees).sum(0)
        best = trees[worth.argmax()] > 0
        expected = (posterior >= threshold * posterior.amax(1, keepdim=True)) & (posterior > 0)
        assert torch.equal(kept, expected | best)


@pytest.mark.parametrize("max_heads", [1, 2, 7])
def test_there_are_no_more_heads_than_asked_for(max_heads):
    torch.manual_seed(0)
    scores = torch.randn(50, 12, 12)
    structure = NonprojectiveTree(single_root=True)
    tree = structure.argmax(scores, torch.ones(50, 12, dtype=torch.bool)) > 0
    kept = prune(scores, threshold=0.0, max_heads=max_heads)
    assert (kept & ~tree).sum(2).max() <= max_heads and kept.sum(2).max() <= max_heads + 1
    assert (kept[:, 1:].sum(2) >= max_heads).all() and not kept[:, 0].any()


@pytest.mark.parametrize("length", [2, 30, 60])
def test_a_tree_is_left(length):
    """Where each token's own best heads are in a circle."""
    torch.manual_seed(length)
    scores = torch.randn(8, length, length)
    positions = torch.arange(1, length)
    scores[:, positions, positions % (length - 1) + 1] += 20
    structure, mask = NonprojectiveTree(single_root=True), torch.ones(8, length, dtype=torch.bool)
    kept = prune(scores, max_heads=1)
    tree = structure.argmax(scores.masked_fill(~kept, -torch.inf), mask)
    assert torch.equal(tree, structure.argmax(scores, mask))


def test_it_is_not_trained():
    pruner = ParserPruner(Scored(SingleHead())).train()
    assert not pruner.parser.training and not any(weight.requires_grad for weight in pruner.parameters())
    assert not pruner(torch.randn(1, 4, 4, requires_grad=True)).requires_grad


def test_bad_settings_are_refused():
    with pytest.raises(ConfigurationError, match="expected the parser of a pruner to be a spigot_dependency_parser"):
        prune(torch.zeros(1, 3, 3), LinearChain())
    with pytest.raises(ConfigurationError, match="threshold of a pruner must be a number from 0 to below 1"):
        prune(torch.zeros(1, 3, 3), threshold=1.0)
    with pytest.raises(ConfigurationError, match="max_heads of a pruner must be a whole number"):
        prune(torch.zeros(1, 3, 3), max_heads=0)
