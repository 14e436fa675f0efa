import threading
from types import SimpleNamespace

from spigot_allennlp.data.dataset_readers import SdpReader
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.predictors.sentence import SentencePredictor
from tests import PATIENCE


class EchoPredictor(SentencePredictor):
    """
    Answers with what it was asked, a tree in which each token depends on the next, and a graph of one arc. It predicts
    only when `may_go_on` is set, fails on a sentence with the token `fail`, and refuses one with the token `refuse`.
    Sentences end with a period, tokens with a space or a hyphen. It keeps and forbids heads, tree or not.
    """

    def __init__(self):
        self._dataset_reader = SdpReader()
        self.tagger = SimpleNamespace(sentence=self._tag, sentences=self._split_and_tag, tag=_tag_tokens)
        self.max_tokens = []  # of raw text, as it was asked
        self.batches = []
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def predict_batch_instance(self, instances):
        sentences = [instance["metadata"].metadata for instance in instances]
        self.batches.append([" ".join(sentence["tokens"]) for sentence in sentences])
        self.begun.release()
        assert self.may_go_on.wait(PATIENCE)
        if any("fail" in sentence["tokens"] for sentence in sentences):
            raise ValueError("a secret of the model")
        if any("refuse" in sentence["tokens"] for sentence in sentences):
            raise FormatError("expected another sentence")
        return [
            _parse(sentence, instance.fields.get("forbidden_arcs"))
            for sentence, instance in zip(sentences, instances, strict=True)
        ]

    def _predicts_trees(self):
        return True

    def _try_alike(self, sentences, explain):
        outputs = self.predict_batch_instance(list(map(self._to_instance, sentences)))
        for output in outputs if explain else ():
            length = len(output["tokens"])
            if "scores" in explain:
                output["head_probabilities"] = [0.75] * length
                output["next_heads"] = [1 if token > 1 else -1 for token in range(1, length + 1)]
                output["next_head_probabilities"] = [0.125] * length
                output["arc_probabilities"] = [0.5] * len(output["arcs"])
            if "arc_weights" in explain:
                output["arc_weights"] = [[token, head, 1.0] for token, head in enumerate(output["heads"], start=1)]
            if "saliency" in explain:
                output["saliency"] = [[token / sum(range(length + 1)) for token in range(1, length + 1)]]
        return outputs

    def _tag(self, text, max_tokens):
        self.max_tokens.append(max_tokens)
        tokens = text.replace("-", " ").split()
        if not tokens:
            raise ValueError("expected text, found none")
        return TaggedSentence(tokens, ["X"] * len(tokens), tokens)

    def _split_and_tag(self, text, max_tokens):
        return [self._tag(part, max_tokens) for part in text.strip().rstrip(".").split(".")]


def _parse(sentence, forbidden):
    length = len(sentence["tokens"])
    heads = [*range(2, length + 1), 0]
    if forbidden is not None:
        allowed = ~forbidden.tensor
        for token, head in enumerate(heads, start=1):
            if not allowed[token, head]:
                heads[token - 1] = allowed[token].nonzero().flatten().tolist()[0]
    return {**sentence, "heads": heads, "arcs": [[length, 1, "ARG0"]] if length > 1 else [], "tops": [length]}


def _tag_tokens(tokens):
    return TaggedSentence(tokens, ["X"] * len(tokens), tokens)
