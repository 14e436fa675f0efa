import itertools

import pytest
import torch
from allennlp.common.checks import ConfigurationError
from torch.nn.functional import log_softmax

from spigot_allennlp.modules import HeadSelection, TreeCrf, TreeHinge, TreeLoss, TreeSoftmaxMargin
from spigot_allennlp.modules.tree_loss import is_outside_of
from spigot_allennlp.structures import Constrained, NonprojectiveTree, ProjectiveTree, SingleHead
from spigot_allennlp.structures.rules import AtMost

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


SINGLE_ROOT = NonprojectiveTree(single_root=True)
FEW_MODIFIERS = Constrained(NonprojectiveTree(), [AtMost(count=1, per=[1])])
# Structures, and gold trees that they do not admit.
OUTSIDE = [
    (SINGLE_ROOT, (0, 0, 2)),
    (ProjectiveTree(), (3, 0, 0)),
    (FEW_MODIFIERS, (0, 1, 1)),
    (SINGLE_ROOT, (0, None, 0)),
]
BOTH_WAYS = pytest.mark.parametrize("outside", ["left_out", "nearest"])


def partial(heads):
    return as_tensor([-1 if head is None else head for head in heads]) * torch.tensor(
        [0, *(head is not None for head in heads)]
    ).view(1, -1, 1)


@pytest.mark.parametrize("structure, heads", OUTSIDE)
def test_gold_trees_that_are_not_admitted_are_told(structure, heads):
    assert is_outside_of(structure, partial(heads), MASK).tolist() == [True]
    assert is_outside_of(SingleHead(), partial(heads), MASK).tolist() == [False]
    assert is_outside_of(structure, as_tensor((2, 0, 1)), MASK).tolist() == [structure is OUTSIDE[1][0]]


@BOTH_WAYS
@pytest.mark.parametrize(
    "name, structure, heads",
    [
        (name, structure, heads)
        for name in TreeLoss.list_available()
        for structure, heads in OUTSIDE
        if set(TreeLoss.by_name(name).needs) <= structure.operations()
    ],
)
def test_no_loss_falls_below_zero(name, structure, heads, outside):
    """Scores that follow the gradient of such a loss were found to fall without bound."""
    loss = TreeLoss.by_name(name)(outside=outside)
    gold, mask = torch.cat([partial(heads), as_tensor(GOLD_HEADS)]), MASK.expand(2, -1)
    scores = torch.zeros(2, LENGTH, LENGTH, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.SGD([scores], lr=1.0)
    for _ in range(50):
        losses = loss(scores, gold, mask, structure)
        assert losses.min() >= -1e-9
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
    learns = outside == "nearest" or name == "head_selection"
    assert scores.grad.isfinite().all() and bool(scores[0].any()) == learns
    if learns and name != "head_selection":
        assert losses[0] < 0.1


@pytest.mark.parametrize("name", TreeLoss.list_available())
def test_the_nearest_tree_takes_the_place_of_one_that_is_not_admitted(name):
    torch.manual_seed(0)
    scores = torch.randn(1, LENGTH, LENGTH, dtype=torch.double)
    loss = TreeLoss.by_name(name)(outside="nearest")
    nearest = [loss(scores, as_tensor(heads), MASK, SINGLE_ROOT) for heads in ((0, 1, 2), (2, 0, 2), (3, 0, 2))]
    found = loss(scores, as_tensor((0, 0, 2)), MASK, SINGLE_ROOT)
    assert (name == "head_selection") != any(torch.equal(found, expected) for expected in nearest)


def test_other_ways_with_gold_trees_are_refused():
    with pytest.raises(ConfigurationError, match="outside must be one of left_out, nearest, but is 'ignored'"):
        TreeCrf(outside="ignored")


@pytest.mark.parametrize("heads", [(2, 0, None), (None, None, 2), (None, None, None)])
@pytest.mark.parametrize("single_root", [False, True])
def test_of_a_partial_tree_all_that_fit_are_gold(heads, single_root):
    torch.manual_seed(0)
    scores = torch.randn(1, LENGTH, LENGTH, dtype=torch.double)
    structure = NonprojectiveTree(single_root=single_root)
    trees = list(all_trees(single_root))
    fits = [all(head in (None, found) for head, found in zip(heads, tree, strict=True)) for tree in trees]
    errors = torch.tensor(
        [sum(head not in (None, found) for head, found in zip(heads, tree, strict=True)) for tree in trees]
    )
    totals = torch.stack([(as_tensor(tree) * scores).sum() for tree in trees])
    fitting = totals[torch.tensor(fits)]
    for loss, expected in (
        (TreeCrf(), totals.logsumexp(0) - fitting.logsumexp(0)),
        (TreeSoftmaxMargin(), (totals + errors).logsumexp(0) - fitting.logsumexp(0)),
        (TreeHinge(), (totals + errors).max() - fitting.max()),
    ):
        together = loss(
            scores.expand(2, -1, -1), torch.cat([partial(heads), as_tensor(GOLD_HEADS)]), MASK.expand(2, -1), structure
        )
        torch.testing.assert_close(together[0], expected)
        torch.testing.assert_close(together[1:], loss(scores, as_tensor(GOLD_HEADS), MASK, structure))
