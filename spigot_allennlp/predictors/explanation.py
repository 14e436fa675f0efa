"""What a sentence may ask to be told beside its prediction."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from allennlp.common.util import JsonDict
from allennlp.interpret.saliency_interpreters import SimpleGradient
from allennlp.predictors import Predictor

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.models import LatentTreeClassifier
from spigot_allennlp.models.parser import Parser
from spigot_allennlp.predictors.lines import Failure
from spigot_allennlp.predictors.sentence_input import ExplainedSentence, PlainSentence, Sentence, plain

MAX_TOKENS_OF_SALIENCY = 60
"""Of a tree there is a gradient for each token, through a sentence of as many."""


def predict_alike(
    sentences: Sequence[Sentence],
    predict: Callable[[Sequence[PlainSentence], frozenset[str]], list[JsonDict]],
) -> list[JsonDict]:
    """The outputs for sentences, in their order, where those that ask for the same are predicted together."""
    outputs: dict[int, JsonDict] = {}
    asked = [one.explain if isinstance(one, ExplainedSentence) else frozenset() for one in sentences]
    for explain in dict.fromkeys(asked):  # few, if not one
        indices = [index for index, one in enumerate(asked) if one == explain]
        outputs.update(zip(indices, predict([plain(sentences[index]) for index in indices], explain), strict=True))
    return [outputs[index] for index in range(len(sentences))]


@contextmanager
def telling(predictor: Predictor, explain: Collection[str]) -> Iterator[None]:
    """
    Meanwhile a predictor tells what is asked for: how probable what it predicts is, as far as the structures of its
    model have sums, and what the second stage read.
    """
    before = {}
    parsers = (Parser, LatentTreeClassifier)
    for module in predictor._model.modules() if "scores" in explain else ():
        if isinstance(module, parsers) and {"marginals", "log_prob"} <= set(module.structure.operations()):
            before[module] = module.extras
            module.extras = replace(module.extras, probabilities=True)
    weights_before = predictor.arc_weights
    predictor.arc_weights = weights_before or "arc_weights" in explain
    try:
        yield
    finally:
        predictor.arc_weights = weights_before
        for module, extras in before.items():
            module.extras = extras


def add_saliency(predictor: Predictor, sentence: PlainSentence, output: JsonDict) -> JsonDict:
    """
    The output for a sentence, with `saliency`, how much each token counts for what is predicted: of a tree alone, a
    list of shares for the arc of each token; else one list. Shares of all tokens and ROOT, which is left out, add up
    to 1; where the gradient is zero, they are 0. For a sentence that is too long it is a failure.
    """
    if isinstance(output, Failure):
        return output
    num_tokens = len(sentence.tokens)
    if num_tokens > MAX_TOKENS_OF_SALIENCY:
        return Failure(
            FormatError(f"expected at most {MAX_TOKENS_OF_SALIENCY} tokens for saliency, found {num_tokens}")
        )
    known = sentence._asdict()
    known.pop("text", None)
    if "forbidden_arcs" in known:
        known["forbidden_arcs"] = list(map(list, known["forbidden_arcs"]))
    found = SimpleGradient(predictor).saliency_interpret_from_json(known)
    output["saliency"] = []
    for number in range(1, len(found) + 1):
        stages = list(found[f"instance_{number}"].values())
        shares = [sum(values) / len(stages) for values in zip(*stages, strict=True)]
        output["saliency"].append([0.0 if math.isnan(share) else round(share, 4) for share in shares[1:]])
    return output
