import itertools

import pytest
import torch
from torch.nn.functional import log_softmax

from spigot_allennlp.modules import HeadSelection, TreeCrf, TreeHinge, TreeLoss, TreeSoftmaxMargin
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree

LENGTH = 4
GOLD_HEADS = (2, 0, 2)  # of tokens 1 to 3
MASK = torch.ones(1, LENGTH, dtype=torch.bool)


def as_tensor(heads):
    tree = torch.zeros(1, LENGTH, LENGTH, dtype=torch.double)
    for modifier, head in enumerate(heads, start=1):
        tree[0, modifier, head] = 1
    return tree


def all_trees(single_root):
    """The heads of tokens 1 to 3 in every tree."""
    for heads in itertools.product(range(LENGTH), repeat=LENGTH - 1):
        reached = {0}
        for _ in heads:
            reached |= {m for m, h in enumerate(heads, start=1) if h in reached}
        if len(reached) == LENGTH and (not single_root or heads.count(0) == 1):
            yield heads


@pytest.mark.parametrize("single_root", [False, True])
@pytest.mark.parametrize("costs", [(0.5, 0.5), (0.2, 0.9)])
@pytest.mark.parametrize("seed", range(3))
def test_hinge_is_the_maximum_over_all_trees_and_softmax_margin_the_sum(seed, costs, single_root):
    torch.manual_seed(seed)
    scores = torch.randn(1, LENGTH, LENGTH, dtype=torch.double)
    wrong, missed = costs
    gold = as_tensor(GOLD_HEADS)

    def value(heads):
        errors = sum(head != gold_head for head, gold_head in zip(heads, GOLD_HEADS, strict=True))
        return float((as_tensor(heads) * scores).sum()) + (wrong + missed) * errors

    structure = NonprojectiveTree(single_root=single_root)
    expected = max(map(value, all_trees(single_root))) - float((gold * scores).sum())
    assert TreeHinge(*costs)(scores, gold, MASK, structure).tolist() == pytest.approx([expected])
    assert expected > 0
    values = torch.tensor([value(heads) for heads in all_trees(single_root)], dtype=torch.double)
    expected = float(values.logsumexp(0) - (gold * scores).sum())
    assert TreeSoftmaxMargin(*costs)(scores, gold, MASK, structure).tolist() == pytest.approx([expected])


def test_hinge_is_zero_with_a_margin():
    gold = as_tensor(GOLD_HEADS)
    assert TreeHinge()(10 * gold, gold, MASK, NonprojectiveTree(single_root=True)).tolist() == [0]


@pytest.mark.parametrize("single_root", [False, True])
def test_tree_crf_is_the_negative_log_likelihood(single_root):
    torch.manual_seed(0)
    scores = torch.randn(1, LENGTH, LENGTH, dtype=torch.double)
    totals = torch.stack([(as_tensor(heads) * scores).sum() for heads in all_trees(single_root)])
    gold = as_tensor(GOLD_HEADS)
    expected = totals.logsumexp(0) - (gold * scores).sum()
    loss = TreeCrf()(scores, gold, MASK, NonprojectiveTree(single_root=single_root))
    torch.testing.assert_close(loss, expected.unsqueeze(0))


def test_head_selection_is_a_softmax_for_each_token_whatever_the_structure():
    torch.manual_seed(0)
    scores = torch.randn(1, LENGTH, LENGTH, dtype=torch.double)
    expected = 0.0
    for modifier, head in enumerate(GOLD_HEADS, start=1):
        row = scores[0, modifier].clone()
        row[modifier] = -torch.inf
        expected -= log_softmax(row, dim=0)[head]
    for structure in (NonprojectiveTree(single_root=True), ProjectiveTree()):
        loss = HeadSelection()(scores, as_tensor(GOLD_HEADS), MASK, structure)
        torch.testing.assert_close(loss, expected.unsqueeze(0))


@pytest.mark.parametrize("name", TreeLoss.list_available())
def test_padding_has_neither_loss_nor_gradient(name):
    torch.manual_seed(0)
    loss, structure = TreeLoss.by_name(name)(), NonprojectiveTree(single_root=True)
    scores = torch.randn(2, 4, 4, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    gold = torch.zeros(2, 4, 4)
    gold[:, 1, 0] = gold[:, 2, 1] = 1
    gold[0, 3, 1] = 1
    values = loss(scores, gold, mask, structure)
    torch.testing.assert_close(values[1:], loss(scores[1:, :3, :3], gold[1:, :3, :3], mask[1:, :3], structure))
    values.sum().backward()
    assert scores.grad.any()
    for unused in (scores.grad[1, 3], scores.grad[1, :, 3], scores.grad[:, 0], scores.grad.diagonal(dim1=1, dim2=2)):
        assert not unused.any()


@pytest.mark.parametrize("name", TreeLoss.list_available())
def test_what_is_forbidden_or_no_arc_spoils_nothing(name):
    torch.manual_seed(0)
    loss, structure = TreeLoss.by_name(name)(), NonprojectiveTree(single_root=True)
    scores, mask = torch.randn(1, 4, 4), torch.tensor([[True] * 4])
    gold = torch.zeros(1, 4, 4)
    gold[:, 1, 0] = gold[:, 2, 1] = gold[:, 3, 2] = 1
    scores[0, 1, 2] = -1e6  # as good as forbidden
    expected = loss(scores, gold, mask, structure)
    scores[0, 1, 2] = -torch.inf
    scores[0].diagonal().fill_(torch.nan)
    scores[0, 0] = torch.nan
    scores.requires_grad_()
    values = loss(scores, gold, mask, structure)
    torch.testing.assert_close(values, expected)
    values.sum().backward()
    assert scores.grad.isfinite().all()
