"""What an archive is, for those who look at what it predicts: it is read, and no model is built."""

import os
import tarfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from allennlp.common.params import parse_overrides, with_overrides
from allennlp.common.util import JsonDict

from spigot_allennlp.data.conll import read_conll
from spigot_allennlp.data.sdp import read_sdp
from spigot_allennlp.data.sentiment import read_sentiment
from spigot_allennlp.framework.archive_config import read_config

_LABELS = ("spigot_semantic_then_sentiment", "spigot_latent_tree_classifier")
_EXAMPLES = {
    "parser": [
        "Anna wants to sing.",
        "The doctor promised the children to come back before dinner.",
        "I hope that you will find the book that I bought you.",
    ],
    "classifier": [
        "A warm and funny film that never loses its way.",
        "The story is thin, and the actors seem to know it.",
        "Not a great film, but not a bad evening either.",
    ],
}
_NUM_EXAMPLES, _NUM_READ = 3, 100
_LENGTHS = range(4, 16)
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, RuntimeError, tarfile.TarError, zlib.error)
_UNUSUAL = (AttributeError, TypeError)  # a text where a dictionary was expected


def describe(config: JsonDict, name: str) -> JsonDict:
    """
    What a config says of its model.

    # Parameters

    config : `JsonDict`
        Of an archive.
    name : `str`
        What the archive is called.

    # Returns

    `JsonDict`
        `archive`, `model`, `label_names` and `examples`; and, of a model with a structure inside, `method`, its
        `options`, and `structure`, a dictionary with its `type`. Examples are sentences of the validation data, as
        input objects, if it is there, in the current folder, and else some that are like it.
    """
    model = config.get("model", {})
    description: JsonDict = {"archive": name, "model": model.get("type")}
    intermediate = model.get("intermediate")
    if isinstance(intermediate, str):
        intermediate = {"type": intermediate}
    if intermediate is not None:
        options = {key: value for key, value in intermediate.items() if key not in ("type", "structure")}
        description["method"] = intermediate.get("type", "spigot")
        description["options"] = options
    structure = (intermediate or model).get("structure")
    if structure is not None:
        description["structure"] = structure if isinstance(structure, dict) else {"type": structure}
    description["label_names"] = next(_values(config.get("dataset_reader"), "label_names"), {})
    kind = "classifier" if model.get("type") in _LABELS else "parser"
    examples = list(islice(_find_examples(config), _NUM_EXAMPLES))
    description["examples"] = examples or [{"sentence": sentence} for sentence in _EXAMPLES[kind]]
    return description


def describe_archive(path: str | os.PathLike[str], overrides: str = "") -> JsonDict:
    """
    What the config of an archive, a file or a folder, says of its model; with overrides as `predict` has them. What is
    no archive has its name alone: loading it tells what is wrong.
    """
    name = _name(Path(path))
    try:
        return describe(with_overrides(read_config(path), parse_overrides(overrides)), name)
    except (*_UNREADABLE, *_UNUSUAL):
        return describe({}, name)


def _name(path: Path) -> str:
    """Archives are all called `model.tar.gz`: the folder tells them apart."""
    return f"{path.parent.name}/{path.name}" if path.parent.name else path.name


def _values(config: Any, key: str) -> Iterator[Any]:
    """The values of a key, wherever it is."""
    if isinstance(config, dict):
        if key in config:
            yield config[key]
        for value in config.values():
            yield from _values(value, key)


def _find_examples(config: JsonDict) -> Iterator[JsonDict]:
    """Short sentences of the validation data of the model's own task."""
    reader = config.get("validation_dataset_reader", config.get("dataset_reader", {}))
    path = config.get("validation_data_path")
    if isinstance(path, dict):
        tasks = reader.get("readers", {})
        of_labels = [task for task in path if tasks.get(task, {}).get("type") == "spigot_sentiment"]
        task = next(iter(of_labels or path), None)
        reader, path = tasks.get(task, {}), path.get(task)
    read = _READERS.get(reader.get("type"))
    if read is None or not isinstance(path, str) or not _is_here(path) or not Path(path).is_file():
        return
    try:
        yield from (found for found in islice(read(path), _NUM_READ) if found is not None)
    except (OSError, ValueError):  # not what it was when the model was trained
        return


def _is_here(path: str) -> bool:
    """Whether a path, which may be of somebody else's archive, names a file of the current folder."""
    is_plain = ".." not in Path(path).parts and not path.startswith("~")
    return is_plain and Path.cwd().joinpath(path).is_relative_to(Path.cwd())


def _example(tokens: list[str], tags: list[str] | None, lemmas: list[str] | None) -> JsonDict | None:
    if len(tokens) not in _LENGTHS:
        return None
    columns = {"tokens": tokens, "tags": tags, "lemmas": lemmas}
    return {key: column for key, column in columns.items() if column is not None}


def _of_sentiment(path: str) -> Iterator[JsonDict | None]:
    for sentence in read_sentiment(path):
        if sentence.tokens is not None:
            yield _example(sentence.tokens, sentence.tags, sentence.lemmas)
        elif len(sentence.text.split()) in _LENGTHS:
            yield {"sentence": sentence.text}


_READERS = {
    "spigot_sdp": lambda path: (_example(one.forms, one.tags, one.lemmas) for one in read_sdp(path)),
    "spigot_conllu": lambda path: (_example(one.forms, one.xpos, one.lemmas) for one in read_conll(path)),
    "spigot_sentiment": _of_sentiment,
}
