import pytest
import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics import Accuracy
from tests.training.metrics.two_workers import check_two_workers

SCORES = torch.tensor([[0.1, 0.9, 0.0], [2.0, 1.0, 1.5], [0.0, 0.0, -1.0]])
GOLD = torch.tensor([1, 2, 0])


def test_figure_by_hand():
    metric = Accuracy()
    assert metric.get_metric() == {}
    metric(SCORES[:2], GOLD[:2])
    assert metric.get_metric() == {"accuracy": 0.5}
    metric(SCORES[2:], GOLD[2:])
    assert metric.get_metric(reset=True) == {"accuracy": pytest.approx(2 / 3)}
    assert metric.get_metric() == {}


def test_two_workers_with_batches_of_different_sizes_give_the_figure_of_one():
    arguments = {"scores": [SCORES[:2], SCORES[2:]], "gold": [GOLD[:2], GOLD[2:]]}
    check_two_workers(Accuracy(), arguments, {"accuracy": 2 / 3})


def test_registered_name():
    assert Metric.by_name("spigot_accuracy") is Accuracy
