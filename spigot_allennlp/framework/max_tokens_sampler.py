from collections.abc import Iterator
from typing import Optional

from allennlp.common.checks import ConfigurationError
from allennlp.data import BatchSampler
from allennlp.data.samplers import MaxTokensBatchSampler


@BatchSampler.register("spigot_max_tokens")
class MaxTokensSampler(MaxTokensBatchSampler):
    """
    The framework's sampler "max_tokens_sampler", with the same batches but for one: that puts an empty batch, which
    cannot be read, before a first sentence that is too long for any batch.

    Registered as a `BatchSampler` with name "spigot_max_tokens".

    # Parameters

    max_tokens : `int`
        The most tokens of a batch, counting padding. A longer sentence goes alone.
    sorting_keys : `list[str]`, optional (default = `None`)
    padding_noise : `float`, optional (default = `0.1`)
        For these two see the framework's sampler.
    """

    def __init__(self, max_tokens: int, sorting_keys: Optional[list[str]] = None, padding_noise: float = 0.1) -> None:
        if max_tokens < 1:
            raise ConfigurationError(f"max_tokens must be at least 1, but is {max_tokens}")
        super().__init__(max_tokens, sorting_keys, padding_noise)

    def _lazy_groups_of_max_size(self, iterable, sizes) -> Iterator[list]:
        return filter(None, super()._lazy_groups_of_max_size(iterable, sizes))
