"""What an `initializer` must not draw anew: weights that a file gave."""

from collections.abc import Iterable, Iterator

import torch
from allennlp.models import Model
from allennlp.modules.token_embedders import Embedding
from allennlp.nn import InitializerApplicator


def keep(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Marks weights that came from an archive: no `initializer` of a model around theirs touches them."""
    for parameter in parameters:
        parameter.is_from_file = True


def initialize(model: Model, initializer: InitializerApplicator) -> None:
    """
    Applies `initializer` to the weights of a model, but neither to those that a stage has from its `pretrained_file`
    nor to an embedding that has word vectors from its own.
    """
    kept = [(weight, weight.detach().clone()) for weight in _from_files(model)]
    initializer(model)
    with torch.no_grad():
        for weight, value in kept:
            weight.copy_(value)


def _from_files(model: Model) -> Iterator[torch.nn.Parameter]:
    for module in model.modules():
        has_vectors = isinstance(module, Embedding) and module._pretrained_file is not None
        for name, parameter in module.named_parameters(recurse=False):
            if getattr(parameter, "is_from_file", False) or (has_vectors and name == "weight"):
                yield parameter
