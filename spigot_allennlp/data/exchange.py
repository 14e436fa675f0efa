"""
What a sentence is between formats: the JSON object that a prediction is, with further keys for what else formats hold.

| key | |
|---|---|
| `tokens`, `lemmas`, `tags` | a string for each token |
| `sentence_id` | a string |
| `heads`, `head_tags` | the tree: the head of each token, 1-based, 0 for ROOT, `None` where it is not known; labels |
| `arcs`, `tops` | the graph: `[predicate, argument, label]` of each arc; the tops |
| `frames`, `predicates` | of SDP: the frame of each token or `_`; those marked as predicates, but without arguments |
| `upos` or `xpos`, `feats`, `deps`, `misc` | of CoNLL-U: the cells of these columns that are not in another key |
| `extra_rows` | of CoNLL-U: multiword tokens and empty nodes, ten cells each |
| `comments` | of SDP and CoNLL-U: the lines above the rows |
| `text` | the raw text that the sentence was |

Keys without anything to say are left out.
"""

import re
from collections.abc import Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

from conllu import Token, TokenList
from conllu.parser import DEFAULT_FIELDS

from spigot_allennlp.data.conll import ConllSentence, format_row, name_sentence
from spigot_allennlp.data.conll_graph import (
    EMPTY,
    format_deps,
    format_misc,
    no_graph,
    parse_deps,
    parse_misc,
    space_after,
)
from spigot_allennlp.data.sdp import HEADER, SdpSentence

TAG_COLUMNS = ("xpos", "upos")
_SDP_KEYS = {"tokens", "lemmas", "tags", "sentence_id", "heads", "head_tags", "arcs", "tops", "frames", "predicates"}
_SDP_KEYS |= {"comments"}
_EXTRA_ID = re.compile(r"([0-9]+)([-.])[0-9]+")
_CONLL_KEYS = {*_SDP_KEYS, *TAG_COLUMNS, "feats", "deps", "misc", "extra_rows", "text"}


def from_sdp(sentence: SdpSentence) -> dict[str, Any]:
    """The object of a sentence in SDP; with its header goes nothing."""
    with_arguments = {predicate for predicate, _, _ in sentence.arcs}
    content = {
        "tokens": sentence.forms,
        "tags": sentence.tags,
        "lemmas": sentence.lemmas,
        "sentence_id": sentence.sentence_id,
        "heads": sentence.heads,
        "head_tags": sentence.deprels,
        "arcs": [list(arc) for arc in sentence.arcs],
        "tops": sentence.tops,
        "frames": None if {EMPTY}.issuperset(sentence.frames or ()) else sentence.frames,
        "predicates": [position for position in sentence.predicates if position not in with_arguments] or None,
        "comments": [comment for comment in sentence.comments if comment != HEADER] or None,
    }
    return {key: value for key, value in content.items() if value is not None}


def to_sdp(content: Mapping[str, Any]) -> tuple[SdpSentence, set[str]]:
    """The sentence for SDP, and the keys that have no place in it; a tree has one where it is whole and has labels."""
    heads, deprels = content.get("heads"), content.get("head_tags")
    dropped = content.keys() - _SDP_KEYS
    if heads is None or deprels is None or None in heads:
        dropped |= {"heads", "head_tags"} & content.keys()
        heads = None
    sentence = SdpSentence(
        content["tokens"],
        content["lemmas"],
        content["tags"],
        arcs=[tuple(arc) for arc in content.get("arcs", ())],
        tops=content.get("tops", []),
        predicates=content.get("predicates", []),
        frames=content.get("frames"),
        heads=heads,
        deprels=None if heads is None else deprels,
        sentence_id=content.get("sentence_id"),
        comments=content.get("comments", []),
    )
    return sentence, dropped


def from_conll(sentence: ConllSentence, tag_column: str = "xpos") -> dict[str, Any]:
    """
    The object of a sentence in CoNLL-U. Its graph is the one that our keys in MISC describe or, without them, the one
    of DEPS.
    """
    words = sentence.words
    columns = {key: [word[key] for word in words] for key in (*TAG_COLUMNS, "feats", "deps", "misc")}
    content = {
        "tokens": sentence.forms,
        "tags": columns.pop(tag_column),
        "lemmas": sentence.lemmas,
        "sentence_id": sentence.sentence_id,
    }
    heads = [word["head"] for word in words]
    deprels = [word["deprel"] for word in words]
    if any(head is not None for head in heads):
        content["heads"] = heads
    if "heads" in content or set(deprels) != {EMPTY}:
        content["head_tags"] = deprels
    ours, columns["misc"] = parse_misc(columns["misc"])
    deps = columns.pop("deps")
    graph, is_all = parse_deps(deps)
    in_misc = not ours.keys().isdisjoint({"arcs", "tops"})
    if in_misc:
        graph = ours.pop("arcs", []), ours.pop("tops", [])
    if in_misc or any(graph):
        content["arcs"], content["tops"] = [list(arc) for arc in graph[0]], graph[1]
    if in_misc or not is_all:
        content["deps"] = deps
    content |= ours
    content |= {key: cells for key, cells in columns.items() if set(cells) != {EMPTY}}
    others = sentence.comments[1:]
    is_usual = name_sentence(others, sentence.sentence_id) == sentence.comments
    content["comments"] = (others if is_usual else sentence.comments) or None
    extra_rows = (row for row in sentence.rows if not isinstance(row["id"], int))
    content["extra_rows"] = [format_row(row) for row in extra_rows] or None
    return {key: value for key, value in content.items() if value is not None}


def to_conll(content: Mapping[str, Any], tag_column: str = "xpos") -> tuple[ConllSentence, set[str]]:
    """
    The sentence for CoNLL-U, and the keys that have no place in it. The graph has its place in DEPS, unless there are
    `deps` that are another one; then it is in MISC.
    """
    size = len(content["tokens"])
    columns = {key: content.get(key) or [EMPTY] * size for key in (*TAG_COLUMNS, "feats", "deps", "misc")}
    if tag_column in content:  # `tags` are then of the other column
        tag_column = next((column for column in TAG_COLUMNS if column not in content), tag_column)
    columns[tag_column] = content["tags"]
    columns["form"], columns["lemma"] = content["tokens"], content["lemmas"]
    columns["head"] = content.get("heads") or [None] * size
    columns["deprel"] = content.get("head_tags") or [EMPTY] * size
    comments = [comment for comment in content.get("comments", ()) if comment != HEADER]
    text, dropped = content.get("text"), content.keys() - _CONLL_KEYS
    if text is not None and not any(comment.startswith("# text =") for comment in comments):
        text = " ".join(text.split())
        spaces = space_after(columns["form"], text)
        if spaces is None:
            dropped.add("text")
        else:
            comments.append(f"# text = {text}")
            columns["misc"] = content.get("misc") or spaces
    graph = [tuple(arc) for arc in content.get("arcs", ())], content.get("tops", [])
    if "deps" not in content:
        columns["deps"] = format_deps(*graph, size)
        graph = [], []
    elif parse_deps(content["deps"])[0] == (sorted(graph[0]), sorted(graph[1])):
        graph = [], []
    elif "arcs" in content and not any(graph):  # DEPS is not the graph, which has nothing
        columns["misc"] = [no_graph(columns["misc"][0]), *columns["misc"][1:]]
    columns["misc"] = format_misc(columns["misc"], *graph, content.get("frames"), content.get("predicates", ()))
    columns["id"] = list(range(1, size + 1))
    ordered = zip(*(columns[name] for name in DEFAULT_FIELDS), strict=True)
    rows = [Token(zip(DEFAULT_FIELDS, cells, strict=True)) for cells in ordered]
    rows = _with_extra_rows(rows, content.get("extra_rows", ()))
    comments = name_sentence(comments, content.get("sentence_id"))
    return ConllSentence(TokenList(rows), comments), dropped


def _with_extra_rows(words: list[Token], extra_rows: Sequence[Sequence[str]]) -> list[Token]:
    """Puts a range `m-n` before the word `m`, an empty node `m.k` after the word `m`."""
    after: list[list[Token]] = [[] for _ in range(len(words) + 1)]
    for cells in extra_rows:
        match = _EXTRA_ID.fullmatch(cells[0])
        place = -1 if match is None else int(match[1]) - (match[2] == "-")
        if not 0 <= place < len(after):
            raise ValueError(f"Expected the id of a multiword token or an empty node, found {cells[0]!r}")
        after[place].append(Token(zip(DEFAULT_FIELDS, cells, strict=True)))
    rows = after[0]
    for word, others in zip(words, after[1:], strict=True):
        rows += [word, *others]
    return rows


def check(content: Any) -> dict[str, Any]:
    """
    An object of foreign JSON, with `_` for `tags` and `lemmas` that it does not have.

    # Raises

    `ValueError` that says what was expected, if a key is not of the form above.
    """
    if not isinstance(content, dict) or not isinstance(content.get("tokens"), list) or not content["tokens"]:
        raise ValueError("expected an object with a list of 'tokens', found none")
    size = len(content["tokens"])
    content = {key: value for key, value in content.items() if value is not None}
    content |= {key: [EMPTY] * size for key in ("tags", "lemmas") if key not in content}
    for key, (is_element, of_tokens) in _ELEMENTS.items():
        values = content.get(key, [])
        if not isinstance(values, list) or not all(map(is_element, values)):
            raise ValueError(f"expected {key!r} as spigot-convert writes them, found {shortened(values)}")
        if of_tokens and key in content and len(values) != size:
            raise ValueError(f"expected {size} {key!r}, one for each token, found {len(values)}")
    for key in ("sentence_id", "text"):
        if not isinstance(content.get(key, ""), str):
            raise ValueError(f"expected {key!r} to be a string, found {shortened(content[key])}")
    numbers = [head for head in content.get("heads", ()) if head is not None and head != 0]
    numbers += [position for arc in content.get("arcs", ()) for position in arc[:2]]
    wrong = [number for number in numbers + content.get("tops", []) if not 1 <= number <= size]
    if wrong:
        raise ValueError(f"expected positions from 1 to {size}, found {wrong[0]}")
    return content


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_position(value: Any) -> bool:
    return type(value) is int


def _is_head(value: Any) -> bool:
    return value is None or _is_position(value)


def _is_arc(value: Any) -> bool:
    return isinstance(value, list) and list(map(type, value)) == [int, int, str]


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and len(value) == len(DEFAULT_FIELDS) and all(map(_is_string, value))


# What the elements of a list are, and whether there is one for each token.
_ELEMENTS = {
    **dict.fromkeys(("tokens", "tags", "lemmas", "head_tags", "frames"), (_is_string, True)),
    **dict.fromkeys((*TAG_COLUMNS, "feats", "deps", "misc"), (_is_string, True)),
    "comments": (_is_string, False),
    "heads": (_is_head, True),
    "arcs": (_is_arc, False),
    "tops": (_is_position, False),
    "predicates": (_is_position, False),
    "extra_rows": (_is_row, False),
}
