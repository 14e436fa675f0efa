import random
from collections.abc import Iterable
from typing import Optional

from allennlp.common.checks import ConfigurationError
from allennlp.data import BatchSampler, Instance
from allennlp.data.data_loaders.multitask_scheduler import MultiTaskScheduler


@MultiTaskScheduler.register("spigot_interleaved")
class InterleavedScheduler(MultiTaskScheduler):
    """
    Batches of several datasets, each batch from one of them, in random order: over an epoch, the datasets are spread
    evenly. Of some datasets only a part may be used each epoch; where the loader shuffles, each epoch another part.

    Registered as a `MultiTaskScheduler` with name "spigot_interleaved", for the framework's data loader of type
    "multitask".

    # Parameters

    batch_sampler : `BatchSampler`
        Divides the instances of one dataset into batches.
    fractions : `dict[str, float]`, optional (default = `None`)
        By dataset, the share of its instances that an epoch uses, above 0 and at most 1; at least one. By default all.
    """

    def __init__(self, batch_sampler: BatchSampler, fractions: Optional[dict[str, float]] = None) -> None:
        super().__init__()
        self.batch_sampler = batch_sampler
        self.fractions = fractions or {}
        for dataset, fraction in self.fractions.items():
            if not 0 < fraction <= 1:
                raise ConfigurationError(f"the fraction of {dataset!r} must be above 0 and at most 1, got {fraction}")

    def batch_instances(self, epoch_instances: dict[str, Iterable[Instance]]) -> list[list[Instance]]:
        unknown = self.fractions.keys() - epoch_instances.keys()
        if unknown:
            raise ConfigurationError(f"fractions of {sorted(unknown)}: there are only {sorted(epoch_instances)}")
        batches = []
        for dataset, iterable in epoch_instances.items():
            instances = list(iterable)
            del instances[self._used(dataset, len(instances)) :]
            for indices in self.batch_sampler.get_batch_indices(instances):
                batches.append([instances[i] for i in indices])
        random.shuffle(batches)
        return batches

    def count_batches(self, dataset_counts: dict[str, int]) -> int:
        """Raises a `TypeError`, as whatever has no length does, if the batch sampler must see the instances to tell."""
        if (self.batch_sampler.get_batch_size() or -1) < 0:  # the framework's sampler by tokens says -1
            raise TypeError("the number of batches depends on their instances")
        # How many there are is all that such a sampler asks.
        used = (range(self._used(dataset, count)) for dataset, count in dataset_counts.items())
        return sum(self.batch_sampler.get_num_batches(instances) for instances in used)

    def _used(self, dataset: str, count: int) -> int:
        return min(count, max(1, round(count * self.fractions.get(dataset, 1.0))))
