from collections.abc import Sequence

from allennlp.predictors import Predictor

from spigot_allennlp.predictors.sentence import SentencePredictor


@Predictor.register("spigot_syntactic_then_semantic")
@Predictor.register("spigot_semantic_parser")
@Predictor.register("spigot_dependency_parser")
class ParserPredictor(SentencePredictor):
    """
    Parses sentences. Input and parameters are those of [`SentencePredictor`](./sentence.md).

    The output has `tokens`, `tags`, `lemmas` and `sentence_id`, and what the model predicts: `heads` (1-based, 0 is
    ROOT) and perhaps `head_tags` of the syntactic tree; `arcs`, a list of `[predicate, argument, label]`, and `tops` of
    the semantic graph. In SDP 2015 there are columns for the tree where it has labels. In CoNLL-U the graph is in DEPS,
    if the reader takes graphs from there, and else in MISC.

    Registered as a `Predictor` with the names of the three parsers, "spigot_dependency_parser",
    "spigot_semantic_parser" and "spigot_syntactic_then_semantic".
    """

    @property
    def output_formats(self) -> Sequence[str]:
        return ("json", "sdp", "conllu", "mrp")
