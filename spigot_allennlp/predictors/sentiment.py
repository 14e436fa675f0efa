from collections.abc import Sequence

import torch
from allennlp.modules import TextFieldEmbedder
from allennlp.nn.util import find_embedding_layer
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.predictors.sentence import SentencePredictor


@Predictor.register("spigot_semantic_then_sentiment")
class SentimentPredictor(SentencePredictor):
    """
    Classifies sentences. Input and parameters are those of [`SentencePredictor`](./sentence.md).

    The output has `tokens`, `tags`, `lemmas` and `sentence_id`; the `label`, and the `probabilities` and `logits` of
    all labels; and, of a model with a parser, the graph that led to it: `arcs`, a list of
    `[predicate, argument, label]` in 1-based positions, and `tops`. SDP 2015 has the graph alone.

    Registered as a `Predictor` with name "spigot_semantic_then_sentiment".
    """

    reader_kind = SentimentReader

    @property
    def output_formats(self) -> Sequence[str]:
        return ("json",) if self._model.semantic_parser is None else ("json", "sdp", "conllu", "mrp")

    @overrides
    def get_interpretable_layer(self) -> torch.nn.Module:
        """The classifier's embedding, not that of its parser."""
        return find_embedding_layer(self._model.text_field_embedder)

    @overrides
    def get_interpretable_text_field_embedder(self) -> TextFieldEmbedder:
        return self._model.text_field_embedder
