"""What the description of the interface says of requests and answers."""

from typing import Any, Optional

from allennlp.common.util import JsonDict
from pydantic import BaseModel, ConfigDict

from spigot_allennlp.predictors.sentence_input import EXAMPLES, EXPLANATIONS


class Error(BaseModel):
    """The body of every answer that is not 200."""

    error: str
    request_id: str


class Sentence(BaseModel):
    """What a sentence is answered with: what was given, and what the model predicts. Positions count from 1."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    id: Optional[str | int] = None
    sentence_id: Optional[str] = None
    tokens: list[str]
    tags: list[str]
    lemmas: list[str]
    heads: list[int] = []
    """Of a tree: the head of each token, 0 for ROOT."""
    head_tags: list[str] = []
    arcs: list[tuple[int, int, str]] = []
    """Of a graph: predicate, argument and label."""
    tops: list[int] = []
    label: str = ""
    """Of the sentence."""
    probabilities: dict[str, float] = {}
    pictures: dict[str, str] = {}
    """SVG of the `tree` and of the `graph`, where they are wanted."""


class Text(BaseModel):
    """What a `text` is answered with."""

    model_config = ConfigDict(extra="forbid")

    id: Optional[str | int] = None
    sentences: list[Sentence]


Answer = Sentence | Text

ERRORS: dict[int | str, dict[str, Any]] = {
    413: {"model": Error, "description": "The body is too large"},
    422: {"model": Error, "description": "The body is no JSON of the form that is expected, or holds too much"},
    500: {"model": Error, "description": "The server failed; its log has the request's id"},
    501: {"model": Error, "description": "The server has no tagger for raw text installed"},
    503: {
        "model": Error,
        "description": "The model is not loaded yet, or too much is pending; Retry-After says when to come back",
    },
    504: {"model": Error, "description": "The answer took too long"},
}

_TEXT = {"type": "string", "pattern": r"\S"}
_WORDS = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^[^\t\n\r]+$"}}
_ID = {"type": ["string", "integer", "null"], "pattern": r"^\S+( \S+)*$"}
_EXPLAIN = {"type": "array", "items": {"enum": list(EXPLANATIONS)}}
_POSITION = {"type": "integer", "minimum": 0}
_ARC = {"type": "array", "minItems": 2, "maxItems": 2, "items": _POSITION}
_SIDE = {"anyOf": [_TEXT, _WORDS]}
_FORMS: dict[str, JsonDict] = {
    "sentence": {"sentence": _TEXT, "explain": _EXPLAIN},
    "text": {"text": _TEXT, "explain": _EXPLAIN},
    "tokens": {
        "tokens": _WORDS,
        "tags": _WORDS,
        "lemmas": _WORDS,
        "heads": {"type": "array", "items": {"anyOf": [_POSITION, {"type": "null"}]}},
        "forbidden_arcs": {"type": "array", "items": _ARC},
        "explain": _EXPLAIN,
    },
}
_PAIR: JsonDict = {"premise": _SIDE, "hypothesis": _SIDE}
_OBJECT = {
    "anyOf": [
        {
            "type": "object",
            "properties": {**properties, "id": _ID},
            "required": required,
            "additionalProperties": False,
        }
        for required, properties in [*(([form], _FORMS[form]) for form in _FORMS), (list(_PAIR), _PAIR)]
    ]
}

BODY = {"schema": _OBJECT, "examples": {form: {"value": EXAMPLES[form]} for form in _FORMS}}
"""Of a request to `/predict`."""
BATCH_BODY = {
    "schema": {"type": "array", "items": _OBJECT, "minItems": 1},
    "examples": {"batch": {"value": [EXAMPLES["sentence"], EXAMPLES["tokens"]]}},
}


def with_body(content: JsonDict) -> JsonDict:
    """What FastAPI is told of an operation whose body it does not read itself."""
    return {"requestBody": {"required": True, "content": {"application/json": content}}}
