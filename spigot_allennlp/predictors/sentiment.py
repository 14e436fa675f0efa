from collections.abc import Sequence

from allennlp.predictors import Predictor

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
