from contextlib import nullcontext

import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.modules.token_embedders import TokenEmbedder

from spigot_allennlp.framework.vocabulary import reading_vectors, token_counts


@TokenEmbedder.register("spigot_word_dropout")
class WordDropout(TokenEmbedder):
    """
    Replaces a token by the unknown token with probability `alpha / (alpha + count)` while training, where `count` is
    how often it occurs in the data the vocabulary was made from
    ([Iyyer et al., 2015](https://aclanthology.org/P15-1162/);
    [Kiperwasser and Goldberg, 2016](https://aclanthology.org/Q16-1023/), section 3). So the unknown token is trained
    on rare words, and frequent ones are hardly touched.

    The counts are kept with the weights: a model that is loaded or recovered goes on with those it was born with. Let
    `datasets_for_vocab_creation` be `["train"]`, or validation data is counted too; and `vocabulary` be of type
    "spigot", or the workers of a distributed training do not know them.

    Registered as a `TokenEmbedder` with name "spigot_word_dropout".

    # Parameters

    vocab : `Vocabulary`
    embedder : `TokenEmbedder`
        What embeds the tokens that are left; it takes the single ids of one namespace.
    namespace : `str`, optional (default = `"words"`)
        The namespace of those ids. It must have an unknown token.
    alpha : `float`, optional (default = `0.25`)
        0 turns dropout off.
    """

    def __init__(self, vocab: Vocabulary, embedder: TokenEmbedder, namespace: str = "words", alpha: float = 0.25):
        super().__init__()
        if alpha < 0:
            raise ConfigurationError(f"alpha of spigot_word_dropout must not be negative, got {alpha}")
        if not vocab.is_padded(namespace):
            raise ConfigurationError(f"spigot_word_dropout: namespace '{namespace}' has no unknown token")
        self.embedder = embedder
        self.alpha = alpha
        self._unknown = vocab.get_token_index(vocab._oov_token, namespace)
        counts = token_counts(vocab, namespace)
        tokens = vocab.get_index_to_token_vocabulary(namespace)
        # Shape: (vocab_size,)
        self.register_buffer("counts", torch.tensor([float(counts.get(tokens[i], 0)) for i in range(len(tokens))]))

    @classmethod
    def from_params(cls, params: Params, *args, **kwargs) -> "WordDropout":
        embedder = params.get("embedder")
        vectors = embedder.get("pretrained_file") if isinstance(embedder, Params) else None
        with reading_vectors(vectors) if vectors else nullcontext():
            return super().from_params(params, *args, **kwargs)

    def get_output_dim(self) -> int:
        return self.embedder.get_output_dim()

    def train(self, mode: bool = True) -> "WordDropout":
        if mode and self.alpha > 0 and not self.counts.any():
            raise ConfigurationError(
                "spigot_word_dropout needs the frequencies of words, which this vocabulary lacks: "
                "use one of type 'spigot' or 'spigot_extend', or alpha 0"
            )
        return super().train(mode)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`tokens`, `(batch, length)` ids; returns `(batch, length, output_dim)`."""
        if self.training and self.alpha > 0:
            probability = self.alpha / (self.alpha + self.counts[tokens])
            is_dropped = (torch.rand_like(probability) < probability) & (tokens != 0)
            tokens = tokens.masked_fill(is_dropped, self._unknown)
        return self.embedder(tokens)
