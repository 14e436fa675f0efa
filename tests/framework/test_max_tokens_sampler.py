import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import BatchSampler, Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader

from spigot_allennlp.data.dataset_readers import SdpReader
from spigot_allennlp.framework.max_tokens_sampler import MaxTokensSampler
from tests import FIXTURES_ROOT


def batches(max_tokens: int) -> list[int]:
    loader = MultiProcessDataLoader(
        SdpReader(),
        str(FIXTURES_ROOT / "toy" / "toy.sdp"),
        batch_sampler=MaxTokensSampler(max_tokens, sorting_keys=["tokens"], padding_noise=0.0),
    )
    loader.index_with(Vocabulary.from_instances(loader.iter_instances()))
    return [len(batch["metadata"]) for batch in loader]


def test_a_sentence_that_is_too_long_for_any_batch_goes_alone():
    assert batches(1) == [1] * 10
    assert sum(batches(20)) == 10


@pytest.mark.parametrize("max_tokens", [0, -1])
def test_no_tokens_are_refused(max_tokens):
    with pytest.raises(ConfigurationError, match=f"max_tokens must be at least 1, but is {max_tokens}"):
        BatchSampler.from_params(Params({"type": "spigot_max_tokens", "max_tokens": max_tokens}))
