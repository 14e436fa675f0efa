import pytest
import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics import SemanticDependencyF1
from tests.training.metrics.two_workers import check_two_workers


def graph(length, *arcs):
    tensor = torch.full((1, length, length), -1)
    for predicate, argument, label in arcs:
        tensor[0, predicate, argument] = label
    return tensor


def reference(predicted, gold, mask, labelled, tops):
    """Precision, recall and F1 from sets of arcs, for one sentence at a time."""

    def arcs(tensor):
        found = set()
        for b, row in enumerate(mask.tolist()):
            length = sum(row)
            for i in range(0 if tops else 1, length):
                for j in range(length):
                    if tensor[b, i, j] >= 0:
                        found.add((b, i, j, int(tensor[b, i, j])) if labelled else (b, i, j))
        return found

    predicted, gold = arcs(predicted), arcs(gold)
    correct = len(predicted & gold)
    return correct / len(predicted), correct / len(gold), 2 * correct / (len(predicted) + len(gold))


def test_figures_by_hand():
    metric = SemanticDependencyF1()
    gold = graph(4, (0, 2, 0), (2, 1, 1), (2, 3, 2), (3, 1, 1))
    predicted = graph(4, (0, 2, 0), (2, 1, 1), (2, 3, 1))
    metric(predicted, gold, torch.ones(1, 4, dtype=torch.bool))
    figures = metric.get_metric()
    assert figures["labelled_precision"] == pytest.approx(2 / 3)
    assert figures["labelled_recall"] == pytest.approx(2 / 4)
    assert figures["labelled_f1"] == pytest.approx(4 / 7)
    assert figures["unlabelled_precision"] == pytest.approx(3 / 3)
    assert figures["unlabelled_recall"] == pytest.approx(3 / 4)
    assert figures["labelled_without_tops_precision"] == pytest.approx(1 / 2)
    assert figures["labelled_without_tops_recall"] == pytest.approx(1 / 3)
    assert figures["unlabelled_without_tops_f1"] == pytest.approx(4 / 5)


@pytest.mark.parametrize("seed", range(5))
def test_figures_against_sets(seed):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(6) < torch.tensor([[6], [3], [1], [4]])
    predicted, gold = (torch.randint(-1, 3, (4, 6, 6), generator=generator) for _ in range(2))
    metric = SemanticDependencyF1()
    for i in range(4):  # batch by batch
        metric(predicted[i : i + 1], gold[i : i + 1], mask[i : i + 1])
    figures = metric.get_metric(reset=True)
    for labelled in (True, False):
        for tops in (True, False):
            kind = ("labelled" if labelled else "unlabelled") + ("" if tops else "_without_tops")
            expected = reference(predicted, gold, mask, labelled, tops)
            found = [figures[f"{kind}_{figure}"] for figure in ("precision", "recall", "f1")]
            assert found == pytest.approx(expected)


def test_nothing_before_any_graph_and_zero_without_arcs():
    metric = SemanticDependencyF1()
    assert metric.get_metric() == {}
    metric(graph(2, (0, 1, 0)), graph(2, (0, 1, 0)), torch.ones(1, 2, dtype=torch.bool))
    assert metric.get_metric(reset=True)["labelled_f1"] == 1
    assert metric.get_metric() == {}
    metric(graph(2), graph(2), torch.ones(1, 2, dtype=torch.bool))
    assert set(metric.get_metric().values()) == {0}


def test_an_arc_with_an_unknown_label_is_missed_by_labelled_recall_only():
    metric = SemanticDependencyF1()
    metric(graph(2, (0, 1, 0)), graph(2, (0, 1, 7)), torch.ones(1, 2, dtype=torch.bool))
    figures = metric.get_metric()
    assert (figures["labelled_recall"], figures["unlabelled_recall"]) == (0, 1)


def test_registered_name():
    assert Metric.by_name("spigot_semantic_dependency_f1") is SemanticDependencyF1


def test_two_workers_with_batches_of_different_shapes_give_the_figures_of_one():
    gold = [graph(4, (0, 2, 0), (2, 1, 1), (2, 3, 2)), graph(3, (1, 2, 0))]
    predicted = [graph(4, (0, 2, 0), (2, 1, 2)), graph(3, (1, 2, 0), (2, 1, 1))]
    mask = [torch.ones(1, 4, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)]
    alone = SemanticDependencyF1()
    for arguments in zip(predicted, gold, mask, strict=True):
        alone(*arguments)
    assert alone.get_metric()["labelled_f1"] == pytest.approx(4 / 8)
    arguments = {"predicted": predicted, "gold": gold, "mask": mask}
    check_two_workers(SemanticDependencyF1(), arguments, alone.get_metric())


def test_a_worker_without_graphs():
    gold = graph(4, (0, 2, 0))
    arguments = {"predicted": [gold, None], "gold": [gold, None], "mask": [torch.ones(1, 4, dtype=torch.bool), None]}
    alone = SemanticDependencyF1()
    alone(gold, gold, torch.ones(1, 4, dtype=torch.bool))
    check_two_workers(SemanticDependencyF1(), arguments, alone.get_metric())
