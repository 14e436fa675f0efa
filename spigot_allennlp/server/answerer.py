import json
import logging
import traceback
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.drawing import draw_graph, draw_tree
from spigot_allennlp.predictors.lines import find_failures
from spigot_allennlp.predictors.sentence import SentencePredictor
from spigot_allennlp.server.limits import Limits, QueryError, check_limit

logger = logging.getLogger(__name__)


class Asked(NamedTuple):
    """An object to predict on, as [`SentencePredictor`](../predictors/sentence.md) describes them."""

    json_dict: JsonDict
    pictures: bool = False


class Answer(NamedTuple):
    """
    What an object is answered with.

    # Parameters

    status : `int`
        As of HTTP: 200; 422, if the object is not what is expected; 501, if a tagger is missing; 500, if the model
        failed.
    content : `str`
        The output as JSON; else what is wrong or, if the model failed, its traceback.
    num_sentences, num_tokens : `int`
        What was found in the object.
    """

    status: int
    content: str
    num_sentences: int = 0
    num_tokens: int = 0


class Answerer:
    """
    Answers objects with JSON: reads them, predicts on all their sentences together, and says of each what went wrong.

    # Parameters

    predictor : `SentencePredictor`
    limits : `Limits`
    """

    def __init__(self, predictor: SentencePredictor, limits: Limits) -> None:
        self._predictor = predictor
        self._limits = limits

    def warm_up(self) -> None:
        """
        Predicts once on tokens and once on raw text, so that what is loaded or compiled at first use is there.

        # Raises

        `RuntimeError`, if the model fails.
        """
        for example in self._predictor.examples:
            (answer,) = self.answer([Asked(example, pictures=True)])
            if answer.status == 501:
                logger.warning("Raw text will be refused: %s", answer.content)
            elif answer.status != 200:
                raise RuntimeError(f"the model fails on {example}: {answer.content}")

    def answer(self, objects: Sequence[Asked]) -> list[Answer]:
        """The answers to objects, in their order. One bad object costs no other."""
        groups = [self._read(asked.json_dict) for asked in objects]
        sentences = [sentence for group in groups if isinstance(group, list) for sentence in group]
        try:
            outputs = iter(self._predictor.try_sentences(sentences) if sentences else ())
        except Exception as error:
            if len(objects) > 1:
                return [answer for asked in objects for answer in self.answer([asked])]
            return [failure(error)]
        return [
            self._finish(asked, group, outputs) if isinstance(group, list) else group
            for asked, group in zip(objects, groups, strict=True)
        ]

    def _read(self, json_dict: JsonDict) -> list[TaggedSentence] | Answer:
        limits = self._limits
        max_tokens = limits.max_tokens if "text" in json_dict else limits.max_tokens_per_sentence
        try:
            sentences = self._predictor.read(json_dict, max_tokens)
            sizes = [len(sentence.tokens) for sentence in sentences]
            check_limit("tokens in a sentence", max(sizes), limits.max_tokens_per_sentence)
            check_limit("sentences", len(sizes), limits.max_sentences)
            check_limit("tokens", sum(sizes), limits.max_tokens)
        except (ValueError, QueryError) as error:
            return Answer(422, str(error))
        except ConfigurationError as error:
            return Answer(501, str(error))
        except Exception as error:
            return failure(error)
        return sentences

    def _finish(self, asked: Asked, sentences: list[TaggedSentence], outputs: Iterator[JsonDict]) -> Answer:
        own = [next(outputs) for _ in sentences]
        for failed in find_failures(*own):
            return failure(failed.cause)
        try:
            output = self._predictor.join(asked.json_dict, own)
            if asked.pictures:
                add_pictures(output)
            content = json.dumps(output, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except Exception as error:
            return failure(error)
        return Answer(200, content, len(sentences), sum(len(sentence.tokens) for sentence in sentences))


def add_pictures(answer: JsonDict) -> JsonDict:
    """The answer to an object, with `pictures` of each sentence: its `tree` and its `graph`, as far as it has them."""
    for output in answer.get("sentences", [answer]):
        pictures = {}
        if "heads" in output:
            pictures["tree"] = draw_tree(output["tokens"], output["heads"], output.get("head_tags"))
        if "arcs" in output:
            pictures["graph"] = draw_graph(output["tokens"], output["arcs"], output["tops"])
        output["pictures"] = pictures
    return answer


def failure(error: Exception) -> Answer:
    """What an object is answered with on which an error was raised."""
    if isinstance(error, FormatError):  # The model does not take the sentence.
        return Answer(422, str(error))
    return Answer(500, "".join(traceback.format_exception(error)))
