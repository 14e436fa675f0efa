from contextlib import nullcontext

import torch
from allennlp.modules.token_embedders import Embedding, TokenEmbedder

from spigot_allennlp.checks import positive
from spigot_allennlp.framework.vocabulary import reading_vectors


@TokenEmbedder.register("spigot_embedding")
class ScaledEmbedding(Embedding):
    """
    The framework's "embedding", whose vectors start from a normal distribution of a given standard deviation.

    The framework draws as for a layer, from a range that narrows as the vocabulary grows: with ten thousand words a
    vector starts with entries near 0.01, and an encoder reads next to nothing. A row of a lookup table is an input,
    whose scale does not depend on how many other rows there are.

    Words without a vector in a `pretrained_file` start as in the framework, with the mean and the standard deviation of
    all entries in it. So do those by which a vocabulary is extended later, near 0.

    Registered as a `TokenEmbedder` with name "spigot_embedding".

    # Parameters

    sd : `float`, optional (default = `1.0`)
        The standard deviation of every entry, where no `weight` and no `pretrained_file` is given.
    kwargs : `Any`
        Those of "embedding".
    """

    def __init__(self, sd: float = 1.0, **kwargs) -> None:
        vectors = kwargs.get("pretrained_file")
        with reading_vectors(vectors) if vectors else nullcontext():
            super().__init__(**kwargs)
        if kwargs.get("weight") is None and not vectors:
            with torch.no_grad():
                self.weight.normal_(std=positive("sd of spigot_embedding", sd))
                if self.padding_index is not None:
                    self.weight[self.padding_index] = 0
