import weakref
from typing import Any

import pytest
import torch
from allennlp.common import Params
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests import FIXTURES_ROOT

LENGTH = 1000


class MemoryTracker(TorchDispatchMode):
    """How much memory the tensors take that are made under it and alive at once: `peak`, in bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._seen:
            self._seen.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


@pytest.mark.slow
def test_memory_of_a_thousand_tokens_is_that_of_a_few_copies_of_their_label_scores():
    """Hidden layers of the pairs would be eleven more."""
    config = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"
    stages = ("syntactic_parser.arc", "semantic_parser.arc", "semantic_parser.label")
    params = Params.from_file(config, {f"model.{name}_scorer.hidden_dim": 32 for name in stages})
    reader = DatasetReader.from_params(params["dataset_reader"])
    long = reader.text_to_instance(
        ["word"] * LENGTH,
        ["NN"] * LENGTH,
        ["word"] * LENGTH,
        heads=range(LENGTH),
        deprels=["dep"] * LENGTH,
        arcs=[(i, i + 1, f"ARG{i % 16}") for i in range(1, LENGTH)],
        tops=[1],
    )
    reader.apply_token_indexers(long)
    vocab = Vocabulary.from_instances([long])
    model = Model.from_params(params["model"], vocab=vocab).train()
    batch = Batch([long])
    batch.index_instances(vocab)
    tensors = batch.as_tensor_dict()
    with MemoryTracker() as memory:
        model(**tensors)["loss"].backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    label_scores = 4 * (LENGTH + 1) ** 2 * vocab.get_vocab_size("graph_labels")
    # The scores, the worth of the parts, and copies for all that an untrained parser takes for arcs.
    assert label_scores < memory.peak < 6.5 * label_scores
