import random
from collections.abc import Iterable
from typing import Optional

from allennlp.common.checks import ConfigurationError
from allennlp.data import BatchSampler, Instance
from allennlp.data.data_loaders.multitask_scheduler import MultiTaskScheduler

from spigot_allennlp.checks import positive


@MultiTaskScheduler.register("spigot_interleaved")
class InterleavedScheduler(MultiTaskScheduler):
    """
    Batches of several datasets, each batch from one of them, in random order: over an epoch, the datasets are spread
    evenly. Of some datasets only a part may be used each epoch; where the loader shuffles, each epoch another part.
    Others, small ones, may be gone through several times.

    Registered as a `MultiTaskScheduler` with name "spigot_interleaved", for the framework's data loader of type
    "multitask".

    # Parameters

    batch_sampler : `BatchSampler`
        Divides the instances of one dataset into batches.
    fractions : `dict[str, float]`, optional (default = `None`)
        By dataset, the share of its instances that an epoch uses, above 0; at least one. By default 1, all; 2.5 uses
        all of them twice, and a half once more.
    """

    def __init__(self, batch_sampler: BatchSampler, fractions: Optional[dict[str, float]] = None) -> None:
        super().__init__()
        self.batch_sampler = batch_sampler
        self.fractions = fractions or {}
        for dataset, fraction in self.fractions.items():
            positive(f"the fraction of {dataset!r}", fraction)

    def batch_instances(self, epoch_instances: dict[str, Iterable[Instance]]) -> list[list[Instance]]:
        unknown = self.fractions.keys() - epoch_instances.keys()
        if unknown:
            raise ConfigurationError(f"fractions of {sorted(unknown)}: there are only {sorted(epoch_instances)}")
        batches = []
        for dataset, iterable in epoch_instances.items():
            instances = list(iterable)
            for count in self._rounds(dataset, len(instances)):
                for indices in self.batch_sampler.get_batch_indices(instances[:count]):
                    batches.append([instances[i] for i in indices])
        random.shuffle(batches)
        return batches

    def count_batches(self, dataset_counts: dict[str, int]) -> int:
        """Raises a `TypeError`, as whatever has no length does, if the batch sampler must see the instances to tell."""
        if (self.batch_sampler.get_batch_size() or -1) < 0:  # the framework's sampler by tokens says -1
            raise TypeError("the number of batches depends on their instances")
        # How many there are is all that such a sampler asks.
        rounds = (size for dataset, count in dataset_counts.items() for size in self._rounds(dataset, count))
        return sum(self.batch_sampler.get_num_batches(range(size)) for size in rounds)

    def _rounds(self, dataset: str, count: int) -> list[int]:
        """How many instances each round through a dataset of `count` uses; an instance is in a round at most once."""
        if not count:
            return []
        times, rest = divmod(max(1, round(count * self.fractions.get(dataset, 1.0))), count)
        return [count] * times + [rest] * (rest > 0)
