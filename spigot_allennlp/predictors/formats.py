"""The file formats in which predictions can be written."""

import codecs
import json
import locale
from collections.abc import Mapping
from typing import Any

from allennlp.common.util import JsonDict

from spigot_allennlp.data import exchange, mrp
from spigot_allennlp.data.conll import format_conll, parse_conll
from spigot_allennlp.data.conll_graph import EMPTY
from spigot_allennlp.data.dataset_readers import SentenceReader
from spigot_allennlp.data.sdp import format_sdp, parse_sdp
from spigot_allennlp.predictors.confidence import misc_of

_GIVEN = ("tokens", "tags", "lemmas", "sentence_id")


class Output(dict[str, Any]):
    """
    What is predicted for a sentence.

    # Parameters

    prediction : `JsonDict`
    metadata : `Mapping[str, Any]`
        Of the instance. All of it is part of the output but `is_punctuation`, and `source`, the text of the sentence in
        a file or raw.
    """

    def __init__(self, prediction: JsonDict, metadata: Mapping[str, Any]) -> None:
        super().__init__(prediction)
        self.update(metadata)
        self.source: Mapping[str, str] = self.pop("source", {})
        self.pop("is_punctuation", None)


def to_sdp(output: JsonDict) -> str:
    """A predicted graph in SDP 2015, with columns for the syntactic tree where there is one with labels."""
    return format_sdp(exchange.to_sdp(_complete(output, "sdp"))[0])


def to_conllu(output: JsonDict, reader: type[SentenceReader] | SentenceReader = SentenceReader) -> str:
    """
    A prediction in CoNLL-U. A tree without labels has `_`; a graph is in DEPS or in MISC, as the reader has it, and
    tags are in its `tag_column`. Probabilities, where the output has some, are keys of MISC.
    """
    content = _complete(output, "conllu", reader.tag_column, reader.graphs_in_deps)
    sentence = exchange.to_conll(content, reader.tag_column)[0]
    for token, word in enumerate(sentence.words):
        added = [f"{key}={value}" for key, value in misc_of(output, token).items()]
        word["misc"] = "|".join([word["misc"], *added] if word["misc"] != EMPTY else added) or EMPTY
    return format_conll(sentence)


def to_mrp(output: JsonDict, number: int) -> str:
    """A predicted graph as a line of MRP; a sentence without an id has its number."""
    content = mrp.to_mrp(_complete(output, "sdp"), number)
    return json.dumps(content, ensure_ascii=False) + "\n"


def locale_is_utf8() -> bool:
    """Whether the framework, which opens the file of output, writes UTF-8 there. Otherwise JSON is ASCII."""
    return codecs.lookup(locale.getpreferredencoding(False)).name == "utf-8"


def _complete(output: JsonDict, output_format: str, tag_column: str = "xpos", in_deps: bool = False) -> dict[str, Any]:
    """The output with all that its source has besides, that of the output format before others."""
    source = getattr(output, "source", {})
    content: dict[str, Any] = {}
    # The cells of DEPS: a graph that is not to replace them has its place in MISC.
    deps = [EMPTY] * len(output["tokens"])
    for source_format in sorted(source, key=output_format.__eq__):
        text = source[source_format]
        for key in ("comments", "heads", "head_tags"):  # each output has what the file of its format has
            content.pop(key, None)
        if source_format == "sdp":
            content |= exchange.from_sdp(next(parse_sdp(text.split("\n"))))
        elif source_format == "conllu":
            sentence = next(parse_conll(text.split("\n"), partial_trees=True))
            deps = [word["deps"] for word in sentence.words]
            content |= exchange.from_conll(sentence, tag_column)
        else:
            content["text"] = text
    if "arcs" in output:
        content.pop("predicates", None)
        content.pop("deps", None)
        if output_format == "conllu" and not in_deps:
            content["deps"] = deps
    if "heads" in output:
        content.pop("head_tags", None)
    kept = _GIVEN if output_format in source else ()
    return content | {key: value for key, value in output.items() if key not in kept}
