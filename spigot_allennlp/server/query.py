from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.drawing import draw_graph, draw_tree
from spigot_allennlp.predictors.lines import join_outputs
from spigot_allennlp.predictors.sentence_input import SentenceTagger, read_sentences
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
        _check("sentences", len(objects), limits.max_sentences)
        self._objects = objects
        self._limits = limits
        self._sizes: list[int] = []
        # Before anything is tagged, which takes time: a word of raw text is at least one token.
        num_characters = num_tokens = 0
        for index, json_dict in enumerate(objects):
            with self._naming(index):
                if not isinstance(json_dict, dict):
                    raise QueryError(f"expected a JSON object, found {type(json_dict).__name__}")
                values = [json_dict.get(key) for key in ("sentence", "text", "tokens")]
                texts = [value for value in values if isinstance(value, str)]
                words = [word for text in texts for word in text.split()]
                longest = max(map(len, words), default=0)
                _check("characters in a word of raw text", longest, limits.max_characters_per_word)
                num_characters += sum(map(len, texts))
                size = len(words) + sum(len(value) for value in values if isinstance(value, list))
                if "text" not in json_dict:
                    _check("tokens in a sentence", size, limits.max_tokens_per_sentence)
                num_tokens += size
        _check("characters of raw text", num_characters, limits.max_characters)
        _check("tokens", num_tokens, limits.max_tokens)

    def read(self, tagger: SentenceTagger) -> list[TaggedSentence]:
        """
        The sentences of all objects.

        # Raises

        `QueryError`, if an object is not of a form that the predictor knows, or there is too much in them;
        `NoTaggerError`, if one is raw text and no tagger is installed.
        """
        limits = self._limits
        found: list[TaggedSentence] = []
        for index, json_dict in enumerate(self._objects):
            with self._naming(index):
                max_tokens = limits.max_tokens if "text" in json_dict else limits.max_tokens_per_sentence
                try:
                    sentences = read_sentences(json_dict, tagger, max_tokens)
                except ValueError as error:
                    raise QueryError(str(error)) from error
                except ConfigurationError as error:
                    raise NoTaggerError(str(error)) from error
                _check("tokens in a sentence", max(map(num_tokens, sentences)), limits.max_tokens_per_sentence)
            self._sizes.append(len(sentences))
            found += sentences
            _check("sentences", len(found), limits.max_sentences)
            _check("tokens", sum(map(num_tokens, found)), limits.max_tokens)
        return found

    @contextmanager
    def _naming(self, index: int) -> Iterator[None]:
        """Says which object is wrong, where there are several."""
        try:
            yield
        except QueryError as error:
            if len(self._objects) == 1:
                raise
            raise QueryError(f"at index {index}: {error}") from error

    def fault(self, error: FormatError) -> QueryError:
        """What the client is told of a sentence that the model does not take, the one at `error.position`."""
        index = bisect_right(list(accumulate(self._sizes)), error.position)
        try:
            with self._naming(index):
                raise QueryError(str(error))
        except QueryError as named:
            return named

    def answer(self, outputs: list[JsonDict]) -> list[JsonDict]:
        """What the objects are answered with, from the outputs of the sentences that were read."""
        remaining = iter(outputs)
        return [
            join_outputs(json_dict, [next(remaining) for _ in range(size)])
            for json_dict, size in zip(self._objects, self._sizes, strict=True)
        ]


def num_tokens(sentence: TaggedSentence) -> int:
    """The tokens of a sentence, without ROOT."""
    return len(sentence.tokens)


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
