from math import log

import pytest
import torch
from allennlp.training.metrics import Metric
from sklearn.metrics import v_measure_score

from spigot_allennlp.training.metrics import VMeasure
from tests.training.metrics.two_workers import check_two_workers

GOLD = torch.tensor([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    "predicted, expected",
    [
        ([2, 2, 0, 0, 1, 1], 1.0),  # the same classes by other names
        ([0, 1, 0, 1, 0, 1], 0.0),  # nothing to do with each other
        # Two classes of three thrown together: complete, and homogeneous by what is left of an entropy of log 3.
        ([0, 0, 0, 0, 1, 1], 2 * (1 - 2 / 3 * log(2) / log(3)) / (2 - 2 / 3 * log(2) / log(3))),
    ],
)
def test_figure_by_hand(predicted, expected):
    metric = VMeasure(3, 3)
    assert metric.get_metric() == {}
    for one in (slice(0, 4), slice(4, 6)):
        metric(torch.tensor(predicted)[one], GOLD[one])
    assert metric.get_metric(reset=True) == {"v_measure": pytest.approx(expected, abs=1e-12)}
    assert metric.get_metric() == {}


def test_as_another_library_finds_it():
    generator = torch.Generator().manual_seed(1)
    predicted, noise = (torch.randint(4, (500,), generator=generator) for _ in range(2))
    gold = torch.where(torch.rand(500, generator=generator) < 0.6, predicted, noise + 1)
    metric = VMeasure(4, 5)
    metric(predicted, gold)
    assert 0.1 < metric.get_metric()["v_measure"] < 0.9
    assert metric.get_metric() == {"v_measure": pytest.approx(v_measure_score(gold, predicted))}


def test_as_many_classes_as_each_has():
    metric = VMeasure(2, 5)
    metric(torch.tensor([1, 1, 0]), torch.tensor([4, 4, 2]))
    assert metric.get_metric() == {"v_measure": pytest.approx(1.0)}


def test_a_single_class_is_itself():
    metric = VMeasure(2, 2)
    metric(torch.tensor([1, 1]), torch.tensor([0, 0]))
    assert metric.get_metric() == {"v_measure": 1.0}


def test_two_workers_give_the_figure_of_one():
    """Each worker alone has one class, which says nothing."""
    arguments = {"predicted": [GOLD[:2], GOLD[2:]], "gold": [GOLD[:2], GOLD[2:]]}
    check_two_workers(VMeasure(3, 3), arguments, {"v_measure": 1.0})


def test_registered_name():
    assert Metric.by_name("spigot_v_measure") is VMeasure
