import pytest
import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics import FrameF1
from tests.training.metrics.two_workers import check_two_workers

GOLD = torch.tensor([[-1, 2, -1, 4, 1], [-1, 3, 0, -1, -1]])
PREDICTED = torch.tensor([[-1, 2, 1, -1, 0], [-1, 3, 1, 2, 2]])
BEST = torch.tensor([[0, 2, 1, 4, 0], [0, 3, 1, 0, 0]])
MASK = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


def test_figures_by_hand():
    metric = FrameF1()
    metric(PREDICTED, BEST, GOLD, MASK)
    assert metric.get_metric() == {
        "frame_precision": pytest.approx(2 / 5),
        "frame_recall": pytest.approx(2 / 5),
        "frame_f1": pytest.approx(2 / 5),
        "frame_accuracy": pytest.approx(3 / 5),
    }


def test_batch_by_batch_and_anew():
    metric = FrameF1()
    for rows in ([0], [1]):
        metric(PREDICTED[rows], BEST[rows], GOLD[rows], MASK[rows])
    figures = metric.get_metric(reset=True)
    metric(PREDICTED, BEST, GOLD, MASK)
    assert metric.get_metric(reset=True) == figures
    assert metric.get_metric() == {}


def test_zero_without_frames():
    metric = FrameF1()
    none = torch.full((1, 5), -1)
    metric(none, torch.zeros_like(none), none, MASK[:1])
    assert set(metric.get_metric().values()) == {0}


def test_registered_name():
    assert Metric.by_name("spigot_frame_f1") is FrameF1


def test_two_workers_give_the_figures_of_one():
    alone = FrameF1()
    alone(PREDICTED, BEST, GOLD, MASK)
    values = {"predicted": PREDICTED, "best": BEST, "gold": GOLD, "mask": MASK}
    arguments = {name: [value[:1], value[1:]] for name, value in values.items()}
    check_two_workers(FrameF1(), arguments, alone.get_metric())
