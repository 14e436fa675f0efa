"""Request bodies that a server must refuse, each for a reason of its own, and some that are there to keep it busy."""

import json
import random
from typing import Any, NamedTuple

GOOD = {"tokens": ["Anna", "sings"], "tags": ["NNP", "VBZ"], "lemmas": ["Anna", "sing"]}


class Malformed(NamedTuple):
    path: str
    body: bytes


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


_NOT_JSON = [
    b"",
    b" ",
    b"{",
    b"}",
    b"[",
    b'"',
    b"{]",
    b"hello",
    b"tokens=Anna",
    b"<sentence>Anna sings</sentence>",
    b'{"sentence"}',
    b'{"sentence":}',
    b'{"sentence": "Anna sings"',
    b'{"sentence": "Anna sings",}',
    b'{"sentence": "Anna sings"} {}',
    b"{'sentence': 'Anna sings'}",
    b'{sentence: "Anna sings"}',
    b'{"sentence": "Anna\nsings"}',
    b'{"sentence": "\\x41"}',
    b'{"sentence": "\\u12"}',
    b'{"sentence": "\\ud800"}',
    b'{"sentence": "\xff\xfe"}',
    b"\xff\xfe{\x00}\x00",
    b"\x00",
    b"\x1f\x8b\x08\x00",
    b"[" * 10_000,
    b'{"a":' * 10_000,
    b"9" * 10_000,
    b"NaN",
    b'{"sentence": NaN}',
    b"undefined",
]

_NOT_AN_INPUT: list[Any] = [
    None,
    True,
    0,
    -1.5,
    "Anna sings",
    [],
    [GOOD],
    {},
    {"Sentence": "Anna sings"},
    {"sentence": None},
    {"sentence": 1},
    {"sentence": ["Anna sings"]},
    {"sentence": {"text": "Anna sings"}},
    {"sentence": ""},
    {"sentence": " \t\n"},
    {"sentence": "Anna sings", "text": "Anna sings"},
    {"sentence": "Anna sings", **GOOD},
    {"text": None},
    {"text": 0},
    {"text": []},
    {"text": ""},
    {"text": "\u3000"},
    {"tags": ["NNP"], "lemmas": ["Anna"]},
    {"tokens": None},
    {"tokens": "Anna sings"},
    {"tokens": {"0": "Anna"}},
    {"tokens": []},
    {"tokens": [1, 2]},
    {"tokens": [None]},
    {"tokens": [["Anna"]]},
    {"tokens": [""]},
    {"tokens": ["Anna\tsings"]},
    {**GOOD, "tokens": ["Anna"]},
    {**GOOD, "tags": ["NNP"]},
    {**GOOD, "tags": None},
    {**GOOD, "tags": "NNP VBZ"},
    {**GOOD, "tags": [1, 2]},
    {**GOOD, "lemmas": []},
    {**GOOD, "lemmas": ["Anna", None]},
    {**GOOD, "lemmas": {}},
]

_NOT_A_BATCH: list[Any] = [
    None,
    0,
    "Anna sings",
    GOOD,
    {"batch": [GOOD]},
    [],
    [[]],
    [None],
    ["Anna sings"],
    [GOOD, {}],
    [GOOD, None],
    [GOOD, [GOOD]],
    [{**GOOD, "tags": []}, GOOD],
]

MALFORMED = [
    *(Malformed("/predict", body) for body in _NOT_JSON),
    *(Malformed("/predict_batch", body) for body in _NOT_JSON),
    *(Malformed("/predict", _json(value)) for value in _NOT_AN_INPUT),
    *(Malformed("/predict_batch", _json(value)) for value in _NOT_A_BATCH),
]

TOO_MUCH = [
    *(
        Malformed("/predict", _json(value))
        for value in (
            {"tokens": ["a"] * 201, "tags": ["DT"] * 201, "lemmas": ["a"] * 201},
            {"tokens": ["a"] * 5_000, "tags": ["DT"] * 5_000, "lemmas": ["a"] * 5_000},
            {"sentence": "a " * 300},
            {"sentence": "!" * 5_000},
            {"sentence": "a" * 50_000},
            {"text": "She sings. " * 2_000},
            {"sentence": "a" * 1_000_000},
        )
    ),
    Malformed("/predict_batch", _json([GOOD] * 101)),
    Malformed("/predict_batch", _json([{"tokens": ["a"] * 150}] * 20)),
]


def _text(signs: list[str], word_length: int, num_characters: int) -> str:
    chance = random.Random(0)
    words = [
        "".join(chance.choices(signs, k=word_length))[:word_length] for _ in range(num_characters // (word_length + 1))
    ]
    return " ".join(words)


# Raw texts on which spaCy is slow; some have fewer tokens than are allowed, others have many times as many.
HOSTILE = [
    _json({"text": _text(signs, word_length, num_characters)})
    for signs in (list("€$%+="), list(".,;:!?()[]{}'\""), [":)", "'s", "...", "<3"], list("a'€"), ["\U0001f642"])
    for word_length in (4, 30, 200)
    for num_characters in (480, 1_200, 10_000)
]
