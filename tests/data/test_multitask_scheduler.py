import random
from collections import Counter
from itertools import pairwise

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data.data_loaders import MultiTaskDataLoader
from allennlp.data.data_loaders.multitask_scheduler import MultiTaskScheduler
from allennlp.data.dataset_readers import MultiTaskDatasetReader
from allennlp.data.samplers import BucketBatchSampler, MaxTokensBatchSampler

from spigot_allennlp.data.dataset_readers import ConlluReader, SentimentReader
from spigot_allennlp.data.multitask_scheduler import InterleavedScheduler
from tests import FIXTURES_ROOT

READERS = {"labels": SentimentReader(), "trees": ConlluReader()}
PATHS = {"labels": FIXTURES_ROOT / "sentiment" / "train.txt", "trees": FIXTURES_ROOT / "ewt" / "dev.conllu"}
DATASETS = {name: list(reader.read(PATHS[name])) for name, reader in READERS.items()}  # 60 and 100


def datasets_of(batches):
    found = []
    for batch in batches:
        (dataset,) = {"labels" if "label" in instance.fields else "trees" for instance in batch}
        found.append(dataset)
    return found


def test_every_instance_is_in_one_batch_of_its_dataset():
    random.seed(0)
    scheduler = InterleavedScheduler(BucketBatchSampler(8))
    batches = scheduler.batch_instances(DATASETS)
    assert datasets_of(batches).count("labels") == 8 and datasets_of(batches).count("trees") == 13
    seen = [id(instance) for batch in batches for instance in batch]
    assert sorted(seen) == sorted(id(instance) for instances in DATASETS.values() for instance in instances)
    assert scheduler.count_batches({"labels": 60, "trees": 100}) == len(batches) == 21


def test_batches_are_interleaved_at_random_and_reproducibly():
    scheduler = InterleavedScheduler(BucketBatchSampler(4))
    orders = []
    for seed in (0, 0, 1):
        random.seed(seed)
        orders.append(datasets_of(scheduler.batch_instances(DATASETS)))
    assert orders[0] == orders[1] != orders[2]
    half = len(orders[0]) // 2
    assert all(3 < order[:half].count("labels") < 12 for order in orders)


def test_sentences_of_a_batch_have_similar_lengths():
    random.seed(0)
    batches = InterleavedScheduler(BucketBatchSampler(10, padding_noise=0.0)).batch_instances({"a": DATASETS["trees"]})
    ranges = sorted((min(map(length, batch)), max(map(length, batch))) for batch in batches)
    assert all(first[1] <= second[0] for first, second in pairwise(ranges))


def length(instance):
    return len(instance["tokens"])


def test_a_fraction_is_another_part_each_epoch():
    random.seed(0)
    loader = MultiTaskDataLoader(
        MultiTaskDatasetReader(READERS), PATHS, InterleavedScheduler(BucketBatchSampler(8), fractions={"trees": 0.2})
    )
    assert len(loader) == 8 + 3
    epochs = []
    for _ in range(2):
        batches = loader.scheduler.batch_instances(loader._get_instances_for_epoch())
        assert len(batches) == 8 + 3
        trees = [i["metadata"]["sentence_id"] for batch in batches for i in batch if "tree" in i.fields]
        assert len(trees) == len(set(trees)) == 20
        epochs.append(set(trees))
    assert epochs[0] != epochs[1]


def test_of_a_small_dataset_at_least_one_is_used():
    random.seed(0)
    scheduler = InterleavedScheduler(BucketBatchSampler(8), fractions={"a": 0.2})
    assert len(scheduler.batch_instances({"a": DATASETS["trees"][:2]})) == scheduler.count_batches({"a": 2}) == 1
    assert scheduler.batch_instances({"a": []}) == []


def test_a_number_of_batches_that_depends_on_the_instances_is_not_known_beforehand():
    scheduler = InterleavedScheduler(MaxTokensBatchSampler(60, padding_noise=0.0))
    with pytest.raises(TypeError, match="depends on their instances"):
        scheduler.count_batches({"labels": 60})
    assert all(len(b) * max(map(length, b)) <= 60 for b in scheduler.batch_instances({"a": DATASETS["labels"]}))


@pytest.mark.parametrize("fraction, times", [(1, {1: 60}), (2.5, {2: 30, 3: 30}), (3, {3: 60})])
def test_a_small_dataset_is_gone_through_several_times(fraction, times):
    random.seed(0)
    scheduler = InterleavedScheduler(BucketBatchSampler(8), fractions={"labels": fraction})
    batches = scheduler.batch_instances(DATASETS)
    assert scheduler.count_batches({"labels": 60, "trees": 100}) == len(batches)
    assert all(len({id(instance) for instance in batch}) == len(batch) for batch in batches)
    seen = Counter(id(instance) for batch in batches for instance in batch if "label" in instance.fields)
    assert Counter(seen.values()) == times
    assert datasets_of(batches).count("trees") == 13


@pytest.mark.parametrize("fraction", [0, -0.1, float("inf")])
def test_fractions_that_are_not_positive_are_refused(fraction):
    with pytest.raises(ConfigurationError, match=rf"fraction of 'trees' must be a positive number, but is {fraction}"):
        InterleavedScheduler(BucketBatchSampler(8), fractions={"trees": fraction})


def test_fractions_of_an_unknown_dataset_are_refused():
    scheduler = InterleavedScheduler(BucketBatchSampler(8), fractions={"graphs": 0.5})
    with pytest.raises(ConfigurationError, match=r"fractions of \['graphs'\]: there are only \['labels', 'trees'\]"):
        scheduler.batch_instances(DATASETS)


def test_from_params():
    params = {"type": "spigot_interleaved", "batch_sampler": {"type": "bucket", "batch_size": 2}, "fractions": {"a": 1}}
    assert isinstance(MultiTaskScheduler.from_params(Params(params)), InterleavedScheduler)
