import json
from collections.abc import Collection, Sequence
from typing import NamedTuple, Optional, Protocol

from allennlp.common.util import JsonDict

from spigot_allennlp.data.json_line import shortened_json
from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.data.trees import find_tree_fault

_COLUMNS = ("tokens", "tags", "lemmas")
_CONSTRAINTS = ("heads", "forbidden_arcs")
_FORMS = {"sentence": ("sentence",), "text": ("text",), "tokens": (*_COLUMNS, *_CONSTRAINTS)}

EXPLANATIONS = ("scores", "arc_weights", "saliency")
"""What a sentence may ask to be told beside its prediction."""


EXAMPLES: dict[str, JsonDict] = {
    "sentence": {"sentence": "Anna wants to sing."},
    "text": {"text": "Anna wants to sing. She can."},
    "tokens": {
        "tokens": ["Anna", "wants", "to", "sing"],
        "tags": ["NNP", "VBZ", "TO", "VB"],
        "lemmas": ["Anna", "want", "to", "sing"],
    },
    "pair": {"premise": "Anna wants to sing.", "hypothesis": "She sings."},
    "pair of tokens": {"premise": ["Anna", "wants", "to", "sing"], "hypothesis": ["She", "sings"]},
}
"""An input object of each form."""


class ConstrainedSentence(NamedTuple):
    """
    A [`TaggedSentence`](../data/tagger.md#taggedsentence) of whose tree something is known.

    # Parameters

    tokens, tags, lemmas : `list[str]`
    heads : `list[int | None]`
        For each token its head, a 1-based position or 0 for ROOT, or `None` where it is not known.
    forbidden_arcs : `list[tuple[int, int]]`
        Arcs that the tree must not have, `(modifier, head)`.
    """

    tokens: list[str]
    tags: list[str]
    lemmas: list[str]
    heads: list[Optional[int]]
    forbidden_arcs: list[tuple[int, int]]


class SentencePair(NamedTuple):
    """
    Two sentences that are classified together.

    # Parameters

    premise, hypothesis : `TaggedSentence`
    """

    premise: TaggedSentence
    hypothesis: TaggedSentence

    @property
    def tokens(self) -> list[str]:
        return [*self.premise.tokens, *self.hypothesis.tokens]


PlainSentence = TaggedSentence | ConstrainedSentence | SentencePair
"""What a model predicts on."""


class ExplainedSentence(NamedTuple):
    """
    A sentence of which more is to be told than what is predicted.

    # Parameters

    sentence : `PlainSentence`
    explain : `frozenset[str]`
        Some of `EXPLANATIONS`.
    """

    sentence: PlainSentence
    explain: frozenset[str]

    @property
    def tokens(self) -> list[str]:
        return self.sentence.tokens


Sentence = PlainSentence | ExplainedSentence
"""What an input object has one or more of."""


def plain(sentence: Sentence) -> PlainSentence:
    """The sentence without what it asks to be told."""
    return sentence.sentence if isinstance(sentence, ExplainedSentence) else sentence


class SentenceTagger(Protocol):
    """What reading needs of a [`Tagger`](../data/tagger.md)."""

    def sentence(self, text: str, max_tokens: Optional[int]) -> TaggedSentence: ...

    def sentences(self, text: str, max_tokens: Optional[int]) -> list[TaggedSentence]: ...

    def tag(self, tokens: Sequence[str]) -> TaggedSentence: ...


def read_sentences(
    json_dict: JsonDict,
    tagger: SentenceTagger,
    max_tokens: Optional[int] = None,
    kept_keys: Collection[str] = ("id",),
) -> list[Sentence]:
    """
    The sentences of an input object of the forms that [`SentencePredictor`](./sentence.md) describes.

    # Parameters

    json_dict : `JsonDict`
    tagger : `SentenceTagger`
        For raw text, and for tokens without tags or lemmas.
    max_tokens : `int`, optional (default = `None`)
        Raw text with more tokens is refused before it is tagged. By default none is.
    kept_keys : `Collection[str]`, optional (default = `("id",)`)
        What else an object may have, of the caller's own.

    # Raises

    `ValueError` that says what was expected, for any other object.
    """
    forms = [form for form in _FORMS if form in json_dict]
    if len(forms) != 1:
        raise ValueError(f"expected one of 'sentence', 'text' and 'tokens', found {shortened_json(list(json_dict))}")
    _check_keys(json_dict, (*_FORMS[forms[0]], "explain", *kept_keys))
    _check_kept(json_dict, kept_keys)
    explain = json_dict.get("explain", [])
    if not isinstance(explain, list) or not all(one in EXPLANATIONS for one in explain):
        raise ValueError(
            f"'explain' must be a list of some of {', '.join(EXPLANATIONS)}, found {shortened_json(explain)}"
        )
    sentences = _read_form(json_dict, tagger, max_tokens)
    return [ExplainedSentence(sentence, frozenset(explain)) for sentence in sentences] if explain else sentences


def _read_form(
    json_dict: JsonDict, tagger: SentenceTagger, max_tokens: Optional[int]
) -> list[TaggedSentence] | list[ConstrainedSentence]:
    if "text" in json_dict:
        return tagger.sentences(_get_text(json_dict, "text"), max_tokens)
    if "sentence" in json_dict:
        return [tagger.sentence(_get_text(json_dict, "sentence"), max_tokens)]
    columns = {key: _get_column(json_dict, key) for key in _COLUMNS if key in json_dict}
    if len({len(column) for column in columns.values()}) > 1 or not columns["tokens"]:
        sizes = ", ".join(f"{len(column)} {key}" for key, column in columns.items())
        raise ValueError(f"tokens, tags and lemmas must be of one length, at least 1, found {sizes}")
    if len(columns) < len(_COLUMNS):
        tagged = tagger.tag(columns["tokens"])
        columns = {"tags": tagged.tags, "lemmas": tagged.lemmas, **columns}
    if any(key in json_dict for key in _CONSTRAINTS):
        return [ConstrainedSentence(**columns, **_get_constraints(json_dict, len(columns["tokens"])))]
    return [TaggedSentence(**columns)]


def read_pair(
    json_dict: JsonDict,
    tagger: SentenceTagger,
    max_tokens: Optional[int] = None,
    kept_keys: Collection[str] = ("id",),
) -> SentencePair:
    """
    The pair of an input object with `premise` and `hypothesis`, each raw text that is one sentence or a list of tokens.

    # Parameters

    json_dict : `JsonDict`
    tagger : `SentenceTagger`
    max_tokens : `int`, optional (default = `None`)
        Raw text with more tokens is refused before it is tagged. By default none is.
    kept_keys : `Collection[str]`, optional (default = `("id",)`)
        What else an object may have, of the caller's own.

    # Raises

    `ValueError` that says what was expected, for any other object.
    """
    if not json_dict.keys() >= set(SentencePair._fields):
        raise ValueError(f"expected 'premise' and 'hypothesis', found {shortened_json(list(json_dict))}")
    _check_keys(json_dict, (*SentencePair._fields, *kept_keys))
    _check_kept(json_dict, kept_keys)
    return SentencePair(*(_read_side(json_dict, key, tagger, max_tokens) for key in SentencePair._fields))


def _read_side(json_dict: JsonDict, key: str, tagger: SentenceTagger, max_tokens: Optional[int]) -> TaggedSentence:
    if not isinstance(json_dict[key], list):
        return tagger.sentence(_get_text(json_dict, key), max_tokens)
    if not json_dict[key]:
        raise ValueError(f"'{key}' must not be empty")
    return tagger.tag(_get_column(json_dict, key))


def _check_keys(json_dict: JsonDict, expected: Sequence[str]) -> None:
    for key in json_dict:
        if key not in expected:
            raise ValueError(f"expected no other keys than {', '.join(expected)}, found {shortened_json(key)}")


def _check_kept(json_dict: JsonDict, kept_keys: Collection[str]) -> None:
    sentence_id = json_dict.get("id")
    if not isinstance(sentence_id, (str, int, type(None))) or isinstance(sentence_id, bool):
        raise ValueError(f"'id' must be a string or a whole number, found {shortened_json(sentence_id)}")
    if isinstance(sentence_id, str) and (not sentence_id or sentence_id.splitlines() != [sentence_id.strip()]):
        # What the comments of the formats with columns cannot hold.
        raise ValueError(
            f"'id' must not be empty nor have line ends or outer spaces, found {shortened_json(sentence_id)}"
        )
    for key in kept_keys:
        if key in json_dict:
            _check_unicode(json.dumps(json_dict[key], ensure_ascii=False), key)


def _get_constraints(json_dict: JsonDict, num_tokens: int) -> dict[str, list]:
    heads = json_dict.get("heads", [None] * num_tokens)
    if (
        not isinstance(heads, list)
        or len(heads) != num_tokens
        or not all(head is None or _is_whole(head) for head in heads)
    ):
        raise ValueError(f"'heads' must be a list of {num_tokens} positions or null, found {shortened_json(heads)}")
    fault = find_tree_fault(heads)
    if fault is not None:
        raise ValueError(f"'heads' at token {fault[0]}: {fault[1]}")
    arcs = json_dict.get("forbidden_arcs", [])
    if not isinstance(arcs, list) or not all(
        isinstance(arc, list)
        and len(arc) == 2
        and all(map(_is_whole, arc))
        and 1 <= arc[0] <= num_tokens
        and 0 <= arc[1] <= num_tokens
        for arc in arcs
    ):
        expected = f"a list of [modifier, head], positions up to {num_tokens} of which a head may be 0"
        raise ValueError(f"'forbidden_arcs' must be {expected}, found {shortened_json(arcs)}")
    for modifier, head in arcs:
        if heads[modifier - 1] == head:
            raise ValueError(
                f"'forbidden_arcs' must not have an arc of 'heads', found {shortened_json([modifier, head])}"
            )
    return {"heads": heads, "forbidden_arcs": [tuple(arc) for arc in arcs]}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _get_text(json_dict: JsonDict, key: str) -> str:
    text = json_dict[key]
    if not isinstance(text, str):
        raise ValueError(f"'{key}' must be a string, found {shortened_json(text)}")
    _check_unicode(text, key)
    return text


def _get_column(json_dict: JsonDict, key: str) -> list[str]:
    column = json_dict[key]
    if not isinstance(column, list) or not all(isinstance(value, str) for value in column):
        raise ValueError(f"'{key}' must be a list of strings, found {shortened_json(column)}")
    for value in column:
        # What the formats with columns cannot hold.
        if not value or not {"\t", "\n", "\r"}.isdisjoint(value):
            raise ValueError(f"'{key}' must not be empty nor have tabs or line ends, found {shortened_json(value)}")
        _check_unicode(value, key)
    return column


def _check_unicode(text: str, key: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"'{key}' must be Unicode, found half of a surrogate pair in {shortened_json(text)}") from None
