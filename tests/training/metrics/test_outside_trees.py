import pytest
import torch

from spigot_allennlp.training.metrics import OutsideTrees
from tests.training.metrics.two_workers import check_two_workers

OUTSIDE = torch.tensor([False, True, True])
METADATA = [{"sentence_id": "a"}, {"sentence_id": None, "tokens": ["Go", "home"]}, {"sentence_id": "c"}]


@pytest.mark.parametrize(
    "is_outside, metadata, name", [(OUTSIDE, METADATA, "Go home"), (~OUTSIDE, METADATA, "a"), (OUTSIDE, None, "")]
)
def test_the_first_sentence_is_named(is_outside, metadata, name, caplog):
    metric = OutsideTrees("projective_tree", "so be it")
    metric(torch.tensor([False]), metadata)
    metric(is_outside, metadata)
    counted = {"trees_outside": int(is_outside.sum())}
    assert metric.get_metric() == counted and not caplog.records
    assert metric.get_metric(reset=True) == counted
    metric(OUTSIDE, METADATA)
    assert metric.get_metric(reset=True) == {"trees_outside": 2} and metric.get_metric() == {}
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{counted['trees_outside']} of 4 gold trees in evaluation are none that projective_tree admits, first that of "
        f"the sentence {name!r}: so be it"
    )


def test_two_workers_count_together():
    check_two_workers(OutsideTrees(), {"is_outside": [OUTSIDE, ~OUTSIDE]}, {"trees_outside": 3})
