from collections.abc import Sequence

from allennlp.predictors import Predictor

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.predictors.sentence import SentencePredictor


@Predictor.register("spigot_latent_tree_classifier")
class LatentTreePredictor(SentencePredictor):
    """
    Classifies sentences by a latent structure. Input and parameters are those of
    [`SentencePredictor`](./sentence.md); pairs of sentences are read from files of the training format alone
    (`--use-dataset-reader`).

    The output has `tokens`, `tags`, `lemmas` and `sentence_id`; the `label`, and the `probabilities` and `logits` of
    all labels; and the structure that led to it: `heads` (1-based, 0 is ROOT), `selected`, the 1-based positions of the
    chosen tokens, or `latent_labels`, a number for each token. CoNLL-U has the tree alone.

    Registered as a `Predictor` with name "spigot_latent_tree_classifier".
    """

    reader_kind = SentimentReader

    @property
    def output_formats(self) -> Sequence[str]:
        return ("json", "conllu") if self._model.composition.cells == "heads" else ("json",)
