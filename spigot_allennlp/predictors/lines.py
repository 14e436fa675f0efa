"""A line of input and the output for it: what comes back of the caller's, and what stands where there is no output."""

from collections.abc import Collection, Iterator
from copy import copy
from typing import Any, Optional

from allennlp.common.checks import ConfigurationError
from allennlp.common.util import JsonDict

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.json_line import parse_json, shortened_json
from spigot_allennlp.framework.bad_input import describe


class InputLine(dict[str, Any]):
    """The object of a line that `allennlp predict` reads, with the line's number and, of a bad one, the fault."""

    def __init__(self, number: int, content: Optional[JsonDict] = None, fault: Optional[str] = None) -> None:
        super().__init__(content or {})
        self.number = number
        self.fault = fault


def parse_line(line: str, number: int) -> InputLine:
    """The object of a line, which has a fault if it is none."""
    try:
        content = parse_json(line)
    except ValueError as error:
        return InputLine(number, fault=str(error))
    if not isinstance(content, dict):
        return InputLine(number, fault=f"expected a JSON object, found {shortened_json(content)}")
    return InputLine(number, content)


class Failure(dict[str, Any]):
    """
    What stands where there is no output: `error`, which says why, and where it is.

    # Parameters

    cause : `Exception`
        What reading the input or the model has raised.
    place : `Any`
        Further keys; those that are `None` are left out.
    """

    def __init__(self, cause: Exception, **place: Any) -> None:
        super().__init__({key: value for key, value in place.items() if value is not None})
        self["error"] = str(cause) if isinstance(cause, FormatError) else describe(cause)
        self.cause = cause

    def to_raise(self) -> Exception:
        """To raise: a `FormatError` for bad input, and otherwise a `RuntimeError`, which says where."""
        kind = FormatError if isinstance(self.cause, FormatError) else RuntimeError
        return kind(str(self))

    def __str__(self) -> str:
        if "line" in self:
            return f"line {self['line']} of the input, not counting empty ones: {self['error']}"
        place = repr(self.get("sentence_id", ""))
        return self["error"] if place in self["error"] else f"sentence {place}: {self['error']}"


def join_outputs(json_dict: JsonDict, outputs: list[JsonDict], kept_keys: Collection[str] = ("id",)) -> JsonDict:
    """
    The output object for an input object whose sentences gave these outputs.

    # Raises

    `ConfigurationError`, if a key to keep is one of the output.
    """
    kept = {key: json_dict[key] for key in kept_keys if key in json_dict}
    if isinstance(json_dict, InputLine):
        if json_dict.fault is not None:
            return Failure(FormatError(json_dict.fault), **kept, line=json_dict.number)
        for failure in find_failures(*outputs):
            failure["line"] = json_dict.number
    if kept.get("id") is not None:
        for number, output in enumerate(outputs, start=1):
            output["sentence_id"] = f"{kept['id']}-{number}" if "text" in json_dict else str(kept["id"])
    output = {"sentences": outputs} if "text" in json_dict else outputs[0]
    if clash := kept.keys() & output.keys():
        raise ConfigurationError(f"expected keep_keys that the output does not have itself, found '{min(clash)}'")
    joined = copy(output)  # which may know more than its keys
    joined.clear()
    joined.update({**kept, **output})
    return joined


def find_failures(*outputs: JsonDict) -> Iterator[Failure]:
    """Those of the output objects, and of the sentences in them."""
    for output in outputs:
        if isinstance(output, Failure):
            yield output
        yield from find_failures(*output.get("sentences", ()))
