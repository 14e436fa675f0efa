from contextlib import nullcontext

import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.modules import TextFieldEmbedder
from allennlp.modules.token_embedders import TokenEmbedder

from spigot_allennlp.framework.vocabulary import reading_vectors, token_counts


class CountedDropout(torch.nn.Module):
    """
    Chooses tokens that become unknown while training, each with probability `alpha / (alpha + count)`, where `count` is
    how often it occurs in the data the vocabulary was made from
    ([Iyyer et al., 2015](https://aclanthology.org/P15-1162/);
    [Kiperwasser and Goldberg, 2016](https://aclanthology.org/Q16-1023/), section 3). So the unknown token is trained
    on rare words, and frequent ones are hardly touched.

    The counts are kept with the weights: a model that is loaded or recovered goes on with those it was born with. Let
    `datasets_for_vocab_creation` be `["train"]`, or validation data is counted too; and `vocabulary` be of type
    "spigot", or the workers of a distributed training do not know them.
    """

    def __init__(self, vocab: Vocabulary, namespace: str, alpha: float):
        super().__init__()
        if alpha < 0:
            raise ConfigurationError(f"alpha of spigot_word_dropout must not be negative, got {alpha}")
        self.alpha = alpha
        self._vocab_namespace = namespace
        self._unknown = unknown_id(vocab, namespace)
        counts = token_counts(vocab, namespace)
        tokens = vocab.get_index_to_token_vocabulary(namespace)
        # Shape: (vocab_size,)
        self.register_buffer("counts", torch.tensor([float(counts.get(tokens[i], 0)) for i in range(len(tokens))]))

    def extend_vocab(self, extended_vocab: Vocabulary, **kwargs) -> None:
        """
        Takes up the words by which a vocabulary is extended, with their counts in the data that extended it. A word
        whose count the vocabulary does not know counts as one that occurs once. The framework calls this where a model
        is "from_archive".
        """
        counts = token_counts(extended_vocab, self._vocab_namespace)
        tokens = extended_vocab.get_index_to_token_vocabulary(self._vocab_namespace)
        new = [float(counts.get(tokens[i], 1)) for i in range(len(self.counts), len(tokens))]
        self.counts = torch.cat([self.counts, self.counts.new_tensor(new)])

    def train(self, mode: bool = True) -> "CountedDropout":
        if mode and self.alpha > 0 and not self.counts.any():
            raise ConfigurationError(
                "spigot_word_dropout needs the frequencies of words, which this vocabulary lacks: "
                "use one of type 'spigot' or 'spigot_extend', or alpha 0"
            )
        return super().train(mode)

    def choose(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of `tokens`, ids of any shape, those that become unknown: bool, of the same shape; in training alone."""
        if not self.training or self.alpha == 0:
            return torch.zeros_like(tokens, dtype=torch.bool)
        probability = self.alpha / (self.alpha + self.counts[tokens])
        return (torch.rand_like(probability) < probability) & (tokens != 0)


@TokenEmbedder.register("spigot_word_dropout")
class WordDropout(CountedDropout, TokenEmbedder):
    """
    Replaces rare tokens by the unknown token while training, as [`CountedDropout`](#counteddropout) chooses them.

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
        super().__init__(vocab, namespace, alpha)
        self.embedder = embedder

    @classmethod
    def from_params(cls, params: Params, *args, **kwargs) -> "WordDropout":
        embedder = params.get("embedder")
        vectors = embedder.get("pretrained_file") if isinstance(embedder, Params) else None
        with reading_vectors(vectors) if vectors else nullcontext():
            return super().from_params(params, *args, **kwargs)

    def get_output_dim(self) -> int:
        return self.embedder.get_output_dim()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """`tokens`, `(batch, length)` ids; returns `(batch, length, output_dim)`."""
        return self.embedder(tokens.masked_fill(self.choose(tokens), self._unknown))


@TextFieldEmbedder.register("spigot_word_dropout")
class TextWordDropout(CountedDropout, TextFieldEmbedder):
    """
    The same for several features of a token: a rare word, as [`CountedDropout`](#counteddropout) chooses it, takes its
    lemma and its tag along, as in the program of [Peng, Thomson and Smith
    (2018)](https://aclanthology.org/P18-1173/). An encoder then has to tell from its neighbours what stands there.

    Registered as a `TextFieldEmbedder` with name "spigot_word_dropout".

    # Parameters

    vocab : `Vocabulary`
    embedder : `TextFieldEmbedder`
        What embeds the tokens that are left.
    features : `List[str]`, optional (default = `["words", "lemmas", "pos"]`)
        The indexers of single ids that become unknown together, each of the namespace with its own name. The counts are
        those of the first.
    alpha : `float`, optional (default = `0.25`)
        0 turns dropout off.
    """

    def __init__(
        self,
        vocab: Vocabulary,
        embedder: TextFieldEmbedder,
        features: list[str] = ("words", "lemmas", "pos"),
        alpha: float = 0.25,
    ):
        if not features:
            raise ConfigurationError("expected spigot_word_dropout to have features, found none")
        super().__init__(vocab, features[0], alpha)
        self.embedder = embedder
        self._unknown_ids = {name: unknown_id(vocab, name) for name in features}

    def get_output_dim(self) -> int:
        return self.embedder.get_output_dim()

    def forward(self, text_field_input: TextFieldTensors, num_wrapping_dims: int = 0, **kwargs) -> torch.Tensor:
        """`text_field_input`, of each indexer the ids, `(batch, length)`; returns `(batch, length, output_dim)`."""
        if missing := self._unknown_ids.keys() - text_field_input.keys():
            raise ConfigurationError(f"spigot_word_dropout: the text has no indexer '{min(missing)}'")
        first = next(iter(self._unknown_ids))
        is_dropped = self.choose(text_field_input[first]["tokens"])
        dropped = {
            name: {
                **text_field_input[name],
                "tokens": text_field_input[name]["tokens"].masked_fill(is_dropped, unknown),
            }
            for name, unknown in self._unknown_ids.items()
        }
        return self.embedder({**text_field_input, **dropped}, num_wrapping_dims, **kwargs)


def unknown_id(vocab: Vocabulary, namespace: str) -> int:
    """The id of the unknown token of a namespace, which must have one."""
    if not vocab.is_padded(namespace):
        raise ConfigurationError(f"spigot_word_dropout: namespace '{namespace}' has no unknown token")
    return vocab.get_token_index(vocab._oov_token, namespace)
