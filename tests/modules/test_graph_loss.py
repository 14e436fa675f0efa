import itertools

import pytest
import torch
from torch.nn.functional import log_softmax, logsigmoid

from spigot_allennlp.modules import GraphHinge, GraphScores, GraphSoftmaxMargin, SigmoidSoftmax
from spigot_allennlp.structures import SemanticGraph

LENGTH, LABELS = 3, 2
PAIRS = [(p, a) for p in range(LENGTH) for a in range(1, LENGTH) if p != a]


def all_graphs(deterministic):
    """Every graph over ROOT and two tokens as a (predicate, argument) -> label dictionary, with its predicates."""
    for labels in itertools.product([None, *range(LABELS)], repeat=len(PAIRS)):
        arcs = {pair: label for pair, label in zip(PAIRS, labels, strict=True) if label is not None}
        uses = [(p, label) for (p, _), label in arcs.items() if label in deterministic]
        if len(set(uses)) < len(uses):
            continue
        needed = {p for p, _ in arcs}
        for predicates in itertools.product([False, True], repeat=LENGTH):
            if all(predicates[p] for p in needed):
                yield arcs, predicates


@pytest.mark.parametrize("deterministic", [[], [0]])
@pytest.mark.parametrize("with_predicates", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_hinge_is_the_maximum_over_all_graphs_and_softmax_margin_the_sum(seed, with_predicates, deterministic):
    torch.manual_seed(seed)
    arc_scores = torch.randn(1, LENGTH, LENGTH, dtype=torch.double)
    label_scores = torch.randn(1, LENGTH, LENGTH, LABELS, dtype=torch.double)
    predicate_scores = torch.randn(1, LENGTH, dtype=torch.double) if with_predicates else None
    gold = torch.full((1, LENGTH, LENGTH), -1)
    gold[0, 0, 1], gold[0, 1, 2] = 0, 1
    gold_arcs = {(0, 1): 0, (1, 2): 1}

    def value(arcs, predicates):
        total = sum(arc_scores[0, p, a] + label_scores[0, p, a, label] for (p, a), label in arcs.items())
        if with_predicates:
            total = total + sum(predicate_scores[0, p] for p in range(LENGTH) if predicates[p])
        return float(total)

    def cost(arcs):
        return 0.4 * len(arcs.items() - gold_arcs.items()) + 0.6 * len(gold_arcs.items() - arcs.items())

    values = [value(arcs, predicates) + cost(arcs) for arcs, predicates in all_graphs(deterministic)]
    expected = max(values) - value(gold_arcs, [True, True, False])
    scores = GraphScores(arc_scores, label_scores, predicate_scores)
    structure = SemanticGraph(with_predicates, deterministic_labels=deterministic)
    loss = GraphHinge()(scores, gold, torch.ones(1, LENGTH, dtype=torch.bool), structure)
    assert loss.tolist() == pytest.approx([expected])
    assert expected > 0

    if not deterministic:  # a rule that sums over graphs leave out
        if not with_predicates:  # each graph counts once
            values = [value(arcs, on) + cost(arcs) for arcs, on in all_graphs([]) if all(on)]
        expected = float(torch.tensor(values, dtype=torch.double).logsumexp(0)) - value(gold_arcs, [True, True, False])
        loss = GraphSoftmaxMargin()(scores, gold, torch.ones(1, LENGTH, dtype=torch.bool), structure)
        assert loss.tolist() == pytest.approx([expected])


def test_sigmoid_softmax_is_the_sum_of_its_decisions():
    torch.manual_seed(0)
    arc_scores, label_scores = torch.randn(1, LENGTH, LENGTH), torch.randn(1, LENGTH, LENGTH, LABELS)
    predicate_scores = torch.randn(1, LENGTH)
    gold = torch.full((1, LENGTH, LENGTH), -1)
    gold[0, 0, 1], gold[0, 1, 2], gold[0, 2, 1] = 0, 1, LABELS  # the last label is unknown
    expected = 0.0
    for p, a in PAIRS:
        is_on = int(gold[0, p, a]) >= 0
        expected -= logsigmoid(arc_scores[0, p, a] if is_on else -arc_scores[0, p, a])
        if 0 <= int(gold[0, p, a]) < LABELS:
            expected -= log_softmax(label_scores[0, p, a], dim=0)[gold[0, p, a]]
    for score in predicate_scores[0]:  # all three have an argument
        expected -= logsigmoid(score)
    mask = torch.ones(1, LENGTH, dtype=torch.bool)
    loss = SigmoidSoftmax()(GraphScores(arc_scores, label_scores, predicate_scores), gold, mask, SemanticGraph(True))
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_sigmoid_softmax_predicts_arcs_with_positive_arc_scores():
    torch.manual_seed(0)
    arc_scores, label_scores = torch.randn(1, LENGTH, LENGTH), torch.randn(1, LENGTH, LENGTH, LABELS)
    scores = SigmoidSoftmax().part_scores(GraphScores(arc_scores, label_scores))
    predicted = SemanticGraph().argmax(scores, torch.ones(1, LENGTH, dtype=torch.bool))
    for p, a in PAIRS:
        assert bool(predicted[0, p, a].any()) == bool(arc_scores[0, p, a] > 0)
        if predicted[0, p, a].any():
            assert predicted[0, p, a].argmax() == label_scores[0, p, a].argmax()


@pytest.mark.parametrize("loss", [GraphHinge(), GraphSoftmaxMargin(), SigmoidSoftmax()])
def test_padding_and_impossible_arcs_have_neither_loss_nor_gradient(loss):
    torch.manual_seed(1)
    mask = torch.tensor([[True] * 3, [True, True, False]])
    gold = torch.full((2, 3, 3), -1)
    gold[0, 1, 2] = 1
    inputs = [torch.randn(2, 3, 3), torch.randn(2, 3, 3, LABELS), torch.randn(2, 3)]
    for tensor in inputs:
        tensor.requires_grad_()
    structure = SemanticGraph(predicates=True)
    values = loss(GraphScores(*inputs), gold, mask, structure)
    values.sum().backward()
    cropped = GraphScores(inputs[0][1:, :2, :2], inputs[1][1:, :2, :2], inputs[2][1:, :2])
    alone = loss(cropped, gold[1:, :2, :2], mask[1:, :2], structure)
    torch.testing.assert_close(values[1:], alone)
    for gradient in (inputs[0].grad, inputs[1].grad):
        assert not gradient[1, 2].any() and not gradient[1, :, 2].any()  # padding
        assert not gradient[:, :, 0].any() and not gradient[:, range(3), range(3)].any()  # into ROOT, loops
    assert not inputs[2].grad[1, 2]


@pytest.mark.parametrize("loss", [GraphHinge(), GraphSoftmaxMargin(), SigmoidSoftmax()])
def test_a_graph_without_arcs_has_a_finite_loss(loss):
    gold = torch.full((1, 3, 3), -1)
    mask = torch.ones(1, 3, dtype=torch.bool)
    value = loss(GraphScores(torch.zeros(1, 3, 3), torch.zeros(1, 3, 3, LABELS)), gold, mask, SemanticGraph())
    assert 0 < float(value) < 10


@pytest.mark.parametrize("loss", [GraphHinge(), GraphSoftmaxMargin(), SigmoidSoftmax()])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(loss, dtype):
    torch.manual_seed(0)
    gold = torch.full((1, LENGTH, LENGTH), -1)
    gold[0, 0, 1], gold[0, 1, 2] = 0, 1
    inputs = [torch.randn(1, LENGTH, LENGTH), torch.randn(1, LENGTH, LENGTH, LABELS), torch.randn(1, LENGTH)]
    mask, structure = torch.ones(1, LENGTH, dtype=torch.bool), SemanticGraph(predicates=True)
    expected = loss(GraphScores(*inputs), gold, mask, structure)
    arcs, labels, predicates = (part.to(dtype).requires_grad_() for part in inputs)
    value = loss(GraphScores(arcs, labels, predicates), gold, mask, structure)
    value.sum().backward()
    torch.testing.assert_close(value.float(), expected, rtol=0.05, atol=0.05)
    assert arcs.grad.dtype == dtype and arcs.grad.any()


@pytest.mark.parametrize("loss", [GraphHinge(), GraphSoftmaxMargin(), SigmoidSoftmax()])
def test_nan_where_no_arc_may_be_spoils_nothing(loss):
    torch.manual_seed(0)
    mask, structure = torch.tensor([[True, True, True, False]]), SemanticGraph(predicates=True)
    gold = torch.full((1, 4, 4), -1)
    gold[0, 1, 2] = 1
    arcs, labels, predicates = torch.randn(1, 4, 4), torch.randn(1, 4, 4, LABELS), torch.randn(1, 4)
    expected = loss(GraphScores(arcs, labels, predicates), gold, mask, structure)
    arcs[0].diagonal().fill_(torch.nan)
    arcs[:, 3] = labels[:, :, 0] = predicates[:, 3] = torch.nan
    torch.testing.assert_close(loss(GraphScores(arcs, labels, predicates), gold, mask, structure), expected)
