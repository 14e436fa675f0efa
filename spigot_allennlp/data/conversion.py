"""From any of the formats of sentences to any other, one sentence at a time."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from spigot_allennlp.data import mrp
from spigot_allennlp.data.conll import format_conll, parse_conll
from spigot_allennlp.data.exchange import check, from_conll, from_sdp, to_conll, to_sdp
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.json_line import parse_json
from spigot_allennlp.data.sdp import HEADER, format_sdp, parse_sdp

FORMATS = ("sdp", "conllu", "mrp", "json")
"""What can be written."""

READERS = (*FORMATS, "sdp2014")
"""What can be read."""

Content = dict[str, Any]


def recognize(text: bytes) -> str:
    """The format that sentences seem to have: "json", "sdp" or "conllu"."""
    for line in text.splitlines():
        cells = line.split(b"\t")
        if line.startswith(b"{"):
            return "json"
        if line.startswith(HEADER.encode()):
            return "sdp"
        if len(cells) > 1:
            # The columns `top` and `pred` of SDP, the latter ones of its augmented variant.
            flags = [cells[4:6], cells[6:8]]
            return "sdp" if any(found and {b"+", b"-"}.issuperset(found) for found in flags) else "conllu"
    return "conllu"


_CALLED = {"extra_rows": "multiword tokens and empty nodes", "mrp": "what MRP says of a line"}


class Conversion:
    """
    A conversion, and what it has dropped so far.

    # Parameters

    input_format : `str`
        One of `READERS`.
    output_format : `str`
        One of `FORMATS`.
    tag_column : `str`, optional (default = `"xpos"`)
        The column of CoNLL-U that has the tags, `"xpos"` or `"upos"`.
    comments : `bool`, optional (default = `True`)
        Whether comments are kept. Ids are in any case.
    framework : `str`, optional (default = `"dm"`)
        What MRP calls the graphs that do not say so themselves.
    """

    def __init__(
        self,
        input_format: str,
        output_format: str,
        tag_column: str = "xpos",
        comments: bool = True,
        framework: str = "dm",
    ) -> None:
        self._input_format = input_format
        self._output_format = output_format
        self._tag_column = tag_column
        self._comments = comments
        self._framework = framework
        self._num_sentences = 0
        self._dropped: Counter[str] = Counter()

    def convert(self, lines: Iterable[bytes], name: str) -> Iterator[str]:
        """
        The text of each sentence.

        # Raises

        `FormatError` for input that is malformed, and for what the output format cannot hold.
        """
        for content, line in self._read(lines, name):
            if not self._comments and "comments" in content:
                self._drop("comments")
                del content["comments"]
            self._num_sentences += 1
            try:
                text, dropped = self._write(content)
            except ValueError as error:
                raise FormatError(str(error), name, line, content.get("sentence_id")) from None
            self._drop(*dropped)
            yield text

    def summary(self) -> str:
        """One line: the number of sentences, and of how many of them what was dropped."""
        what = ", ".join(f"{_CALLED.get(key, key)} ({number})" for key, number in sorted(self._dropped.items()))
        return f"converted {self._num_sentences} sentences; dropped: {what or 'nothing'}"

    def _drop(self, *keys: str) -> None:
        self._dropped.update(keys)

    def _read(self, lines: Iterable[bytes], name: str) -> Iterator[tuple[Content, int | None]]:
        if self._input_format == "conllu":
            for sentence in parse_conll(lines, name, partial_trees=True, unique_ids=False):
                yield from_conll(sentence, self._tag_column), sentence.line
        elif self._input_format in ("sdp", "sdp2014"):
            has_frames = self._input_format == "sdp"
            for sentence in parse_sdp(lines, name, unique_ids=False, has_frames=has_frames):
                yield from_sdp(sentence), sentence.line
        else:
            read = self._read_mrp if self._input_format == "mrp" else self._read_json
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        contents = list(read(_parse_object(line)))
                    except ValueError as error:
                        raise FormatError(str(error), name, number) from None
                    for content in contents:
                        yield content, number

    def _read_mrp(self, graph: Content) -> Iterator[Content]:
        content, dropped = mrp.from_mrp(graph)
        self._drop(*dropped)
        yield check(content)

    def _read_json(self, content: Content) -> Iterator[Content]:
        if "error" in content:
            self._drop("lines that are an error")
        elif "sentences" in content:
            if content.keys() > {"sentences"}:
                self._drop("what several sentences share")
            sentences = content["sentences"]
            if not isinstance(sentences, list) or not all(isinstance(one, dict) for one in sentences):
                raise ValueError("expected 'sentences' to be a list of objects")
            for sentence in sentences:
                yield from self._read_json(sentence)
        else:
            yield check(content)

    def _write(self, content: Content) -> tuple[str, set[str]]:
        if self._output_format == "sdp":
            sentence, dropped = to_sdp(content)
            header = HEADER + "\n" if self._num_sentences == 1 else ""
            return header + format_sdp(sentence), dropped
        if self._output_format == "conllu":
            sentence, dropped = to_conll(content, self._tag_column)
            return format_conll(sentence), dropped
        if self._output_format == "mrp":
            content = mrp.to_mrp(content, self._num_sentences, self._framework)
        return json.dumps(content, ensure_ascii=False) + "\n", set()


def _parse_object(line: bytes) -> Content:
    content = parse_json(line)
    if not isinstance(content, dict):
        raise ValueError(f"expected a JSON object, found {type(content).__name__}")
    return content
