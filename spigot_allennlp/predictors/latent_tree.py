from collections.abc import Sequence
from typing import Optional

from allennlp.common.util import JsonDict
from allennlp.data import Instance
from allennlp.predictors import Predictor
from overrides import overrides

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.predictors.sentence import SentencePredictor
from spigot_allennlp.predictors.sentence_input import EXAMPLES, PlainSentence, Sentence, SentencePair, read_pair


@Predictor.register("spigot_latent_tree_classifier")
class LatentTreePredictor(SentencePredictor):
    """
    Classifies sentences, or pairs of them, by a latent structure. Input and parameters are those of
    [`SentencePredictor`](./sentence.md). Of pairs an input object is
    `{"premise": "Anna sings.", "hypothesis": "She makes no sound."}`, each raw text or a list of tokens, and perhaps
    what the caller keeps.

    The output has `tokens`, `tags`, `lemmas` and `sentence_id`; the `label`, and the `probabilities` and `logits` of
    all labels; and the structure that led to it: `heads` (1-based, 0 is ROOT), `selected`, the 1-based positions of the
    chosen tokens, `latent_labels`, a number for each token, or `latent_class`, one for the sentence. What is of the
    hypothesis begins with `hypothesis_`. CoNLL-U has the tree alone, of a pair that of the premise.

    Registered as a `Predictor` with name "spigot_latent_tree_classifier".
    """

    reader_kind = SentimentReader

    @property
    def output_formats(self) -> Sequence[str]:
        return ("json", "conllu") if self._model.composition.cells == "heads" else ("json",)

    @property
    def examples(self) -> list[JsonDict]:
        return [EXAMPLES["pair of tokens"], EXAMPLES["pair"]] if self._model.is_pair else super().examples

    @overrides
    def _read_sentences(self, json_dict: JsonDict, max_tokens: Optional[int] = None) -> Sequence[Sentence]:
        if self._model.is_pair:
            return [read_pair(json_dict, self.tagger, max_tokens, self._kept_keys)]
        return super()._read_sentences(json_dict, max_tokens)

    @overrides
    def _to_instance(self, sentence: PlainSentence) -> Instance:
        if not isinstance(sentence, SentencePair):
            return super()._to_instance(sentence)
        return self._dataset_reader.text_to_instance(*sentence.premise[:3], hypothesis=sentence.hypothesis)
