import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.training.metrics import AttachmentScores
from tests.training.metrics.two_workers import check_two_workers

MASK = torch.tensor([[True, True, True, True], [True, True, True, False], [True, False, False, False]])
GOLD = torch.tensor([[0, 2, 0, 2], [0, 0, 1, 0], [0, 0, 0, 0]])
PREDICTED = torch.tensor([[3, 2, 0, 1], [2, 0, 1, 3], [1, 2, 3, 1]])  # ROOT's and padding's entries are wrong


def test_figures_by_hand():
    metric = AttachmentScores()
    metric(PREDICTED, GOLD, MASK)
    assert metric.get_metric(reset=True) == {"uas": pytest.approx(4 / 5), "uem": pytest.approx(1 / 2)}
    assert metric.get_metric() == {}


def test_labels_count_only_on_right_heads():
    metric = AttachmentScores()
    gold_labels = torch.tensor([[-1, 1, 2, 3], [-1, 2, 1, -1], [-1, -1, -1, -1]])
    predicted_labels = torch.tensor([[0, 1, 0, 3], [0, 2, 1, -1], [0, -1, -1, -1]])
    metric(PREDICTED, GOLD, MASK, predicted_labels, gold_labels)
    assert metric.get_metric()["las"] == pytest.approx(3 / 5)


PUNCTUATION = torch.tensor([[False, True, False, False], [False, False, True, False], [False] * 4])
LABELS = torch.tensor([[-1, 1, 2, 3], [-1, 2, 1, -1], [-1, -1, -1, -1]])


def test_figures_without_punctuation():
    metric = AttachmentScores()
    metric(PREDICTED, GOLD, MASK, LABELS + (GOLD == 2), LABELS, PUNCTUATION)
    # Of the tokens 2 and 3 of the first sentence and 1 of the second, heads are right of the first and the last.
    expected = {"uas": 4 / 5, "uem": 1 / 2, "las": 3 / 5}
    without = {"uas_without_punctuation": 2 / 3, "las_without_punctuation": 2 / 3}
    assert metric.get_metric(reset=True) == pytest.approx({**expected, **without})
    metric(PREDICTED, GOLD, MASK, is_punctuation=PUNCTUATION)
    assert metric.get_metric(reset=True).keys() == {"uas", "uem", "uas_without_punctuation"}


def test_punctuation_may_be_ignored():
    metric = AttachmentScores(punctuation="ignored")
    metric(PREDICTED, GOLD, MASK, is_punctuation=PUNCTUATION)
    assert metric.get_metric() == {"uas": pytest.approx(2 / 3), "uem": 1 / 2}
    with pytest.raises(ConfigurationError, match="need a reader with `punctuation`"):
        metric(PREDICTED, GOLD, MASK)
    with pytest.raises(ConfigurationError, match="punctuation must be one of both, ignored, but is 'no'"):
        AttachmentScores(punctuation="no")


def test_no_figures_without_tokens():
    metric = AttachmentScores()
    assert metric.get_metric() == {}
    metric(PREDICTED[2:], GOLD[2:], MASK[2:])
    assert metric.get_metric() == {}


def test_two_workers_with_batches_of_different_shapes_give_the_figures_of_one():
    arguments = {
        "predicted_heads": [PREDICTED[:1], PREDICTED[1:, :3]],
        "gold_heads": [GOLD[:1], GOLD[1:, :3]],
        "mask": [MASK[:1], MASK[1:, :3]],
    }
    check_two_workers(AttachmentScores(), arguments, {"uas": 4 / 5, "uem": 1 / 2})


def test_labels_of_one_worker_only():
    labels = torch.tensor([[-1, 1, 2, 3]])
    arguments = {
        "predicted_heads": [GOLD[:1], GOLD[1:2]],
        "gold_heads": [GOLD[:1], GOLD[1:2]],
        "mask": [MASK[:1], MASK[1:2]],
        "predicted_labels": [labels, None],
        "gold_labels": [labels, None],
    }
    check_two_workers(AttachmentScores(), arguments, {"uas": 1.0, "uem": 1.0, "las": 1.0})
