from typing import Any

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict
from allennlp.data import Instance

from spigot_allennlp.drawing import draw_graph, draw_tree
from spigot_allennlp.predictors.sentence import SentencePredictor, join_outputs
from spigot_allennlp.server.limits import Limits


class QueryError(Exception):
    """What a client asked is not of the form that is expected, or is too much; the message says why."""


class NoTaggerError(Exception):
    """What a client asked needs a tagger that is not installed; the message says what to install."""


class Query:
    """
    What a request asks: objects to predict on, as [`SentencePredictor`](../predictors/sentence.md) describes them.

    # Parameters

    objects : `list[Any]`
        As they came.
    limits : `Limits`

    # Raises

    `QueryError`, if there are too many or what is cheap to see is wrong with them.
    """

    def __init__(self, objects: list[Any], limits: Limits) -> None:
        if not objects:
            raise QueryError("expected at least one object, found none")
        for json_dict in objects:
            if not isinstance(json_dict, dict):
                raise QueryError(f"expected a JSON object, found {type(json_dict).__name__}")
        _check("sentences", len(objects), limits.max_sentences)
        # Before anything is tagged, which takes time: a word of raw text is at least one token.
        values = [json_dict.get(key) for json_dict in objects for key in ("sentence", "text", "tokens")]
        texts = [value for value in values if isinstance(value, str)]
        words = [word for text in texts for word in text.split()]
        given = [token for value in values if isinstance(value, list) for token in value]
        _check("characters of raw text", sum(map(len, texts)), limits.max_characters)
        _check("characters in a word of raw text", max(map(len, words), default=0), limits.max_characters_per_word)
        _check("tokens", len(words) + len(given), limits.max_tokens)
        self._objects = objects
        self._limits = limits
        self._sizes: list[int] = []

    def read(self, predictor: SentencePredictor) -> list[Instance]:
        """
        The sentences of all objects.

        # Raises

        `QueryError`, if an object is not of a form that the predictor knows, or there is too much in them;
        `NoTaggerError`, if one is raw text and no tagger is installed.
        """
        instances: list[Instance] = []
        for json_dict in self._objects:
            try:
                sentences = predictor.json_to_instances(json_dict)
            except ValueError as error:
                raise QueryError(str(error)) from error
            except ConfigurationError as error:
                raise NoTaggerError(str(error)) from error
            self._sizes.append(len(sentences))
            instances += sentences
        lengths = list(map(num_tokens, instances))
        _check("sentences", len(lengths), self._limits.max_sentences)
        _check("tokens", sum(lengths), self._limits.max_tokens)
        _check("tokens in a sentence", max(lengths), self._limits.max_tokens_per_sentence)
        return instances

    def answer(self, outputs: list[JsonDict]) -> list[JsonDict]:
        """What the objects are answered with, from the outputs of the sentences that were read."""
        remaining = iter(outputs)
        return [
            join_outputs(json_dict, [next(remaining) for _ in range(size)])
            for json_dict, size in zip(self._objects, self._sizes, strict=True)
        ]


def num_tokens(instance: Instance) -> int:
    """The tokens of a sentence, without ROOT."""
    return len(instance["metadata"].metadata["tokens"])


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


def _check(what: str, found: int, limit: int) -> None:
    if found > limit:
        raise QueryError(f"expected at most {limit} {what}, found {found}")
