import re
from typing import Any

from spigot_allennlp.data.json_line import shortened_json
from spigot_allennlp.predictors.explanation import MAX_TOKENS_OF_SALIENCY
from spigot_allennlp.server.answerer import Answer, Asked
from spigot_allennlp.server.limits import Limits, QueryError, check_limit

_TOKEN = re.compile(r"\w+|[^\w\s]")  # spaCy divides where this does, at most, but for contractions and units


class NoTaggerError(Exception):
    """What a client asked needs a tagger that is not installed; the message says what to install."""


class ModelError(Exception):
    """The model failed; the message says how."""


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
        check_limit("sentences", len(objects), limits.max_sentences)
        self.objects = objects
        self.sizes: list[int] = []
        """How many tokens they have, about."""
        self._limits = limits
        # Before anything is tagged, which takes time: a word of raw text is at least one token.
        num_characters = num_tokens = 0
        for index, json_dict in enumerate(objects):
            try:
                if not isinstance(json_dict, dict):
                    raise QueryError(f"expected a JSON object, found {shortened_json(json_dict)}")
                values = [json_dict.get(key) for key in ("sentence", "text", "tokens", "premise", "hypothesis")]
                texts = [value for value in values if isinstance(value, str)]
                words = [word for text in texts for word in text.split()]
                longest = max(map(len, words), default=0)
                check_limit("characters in a word of raw text", longest, limits.max_characters_per_word)
                num_characters += sum(map(len, texts))
                size = sum(len(value) for value in values if isinstance(value, list))
                if "text" not in json_dict:
                    check_limit("tokens in a sentence", size + len(words), limits.max_tokens_per_sentence)
                num_tokens += size + len(words)
                size += sum(len(_TOKEN.findall(text)) for text in texts)
                explain = json_dict.get("explain")
                if isinstance(explain, list) and "saliency" in explain:
                    # Of a tree it takes as many passes as there are tokens, however many sentences they are.
                    check_limit("tokens for saliency", size, MAX_TOKENS_OF_SALIENCY)
                    size = max(size, size * size // 10)
            except QueryError as error:
                raise self._at(index, error) from None
            check_limit("characters of raw text", num_characters, limits.max_characters)
            self.sizes.append(min(max(size, 1), limits.max_tokens))  # with more it will be refused
        check_limit("tokens", num_tokens, limits.max_tokens)

    def asked(self, pictures: bool) -> list[Asked]:
        """What a model is asked."""
        return [Asked(json_dict, pictures) for json_dict in self.objects]

    def outputs(self, answers: list[Answer]) -> list[str]:
        """
        The JSON of the outputs for all objects.

        # Parameters

        answers : `list[Answer]`
            Those of a model, up to the first that is not good.

        # Raises

        `QueryError`, if an object is not of a form that the predictor knows, or there is too much in them;
        `NoTaggerError`, if one is raw text and no tagger is installed; `ModelError`, if the model fails on one.
        """
        kinds = {422: QueryError, 501: NoTaggerError, 500: ModelError}
        for index, answer in enumerate(answers):
            if answer.status != 200:
                error = kinds[answer.status](answer.content)
                raise self._at(index, error) if isinstance(error, QueryError) else error
        check_limit("sentences", sum(answer.num_sentences for answer in answers), self._limits.max_sentences)
        check_limit("tokens", sum(answer.num_tokens for answer in answers), self._limits.max_tokens)
        return [answer.content for answer in answers]

    def _at(self, index: int, error: QueryError) -> QueryError:
        """Says which object is wrong, where there are several."""
        return QueryError(f"at index {index}: {error}") if len(self.objects) > 1 else error
