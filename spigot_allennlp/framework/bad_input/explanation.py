"""Explanations of errors, as attributes of them; and what errors explain themselves."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Optional

from allennlp.common.checks import ConfigurationError


@contextmanager
def explained(*kinds: type[BaseException], by: Callable[[BaseException], Optional[str]] = str) -> Iterator[None]:
    """
    What is raised here is explained by bad input, and raised again:

        with explained(OSError, by=lambda error: f"{name}: {error}"):
            …

    # Parameters

    kinds : `type[BaseException]`
        Of those errors. One that is explained already is left as it is.
    by : `Callable[[BaseException], Optional[str]]`, optional (default = `str`)
        What was expected and what was found. `None`, if it is no bad input after all.
    """
    try:
        yield
    except kinds as error:
        if explain(error) is None:
            error.explanation = by(error)
        raise


@contextmanager
def naming(name: object) -> Iterator[None]:
    """The explanation of what is raised here begins with a name, such as that of a file, unless it has that name."""
    try:
        yield
    except Exception as error:
        explanation = explain(error)
        if explanation is not None and str(name) not in explanation:
            error.explanation = f"{name}: {explanation}"
        raise


def explain(error: BaseException) -> Optional[str]:
    """
    What was expected and what was found, in one line, if it is the user's input that raised the error: data, a config,
    an archive or an option. `None` for any other error.
    """
    reasons = (getattr(error, "explanation", None), _refusal(error), _refusal_in_worker(error), _jsonnet(error))
    explanation = next(filter(None, reasons), None)
    return None if explanation is None else " ".join(explanation.split())


def describe(error: BaseException) -> str:
    """The kind and the message of an error."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _refusal(error: BaseException) -> Optional[str]:
    """What the framework or this package refuses in so many words."""
    if not isinstance(error, ConfigurationError):
        return None
    reasons = [str(error)]
    # Of a setting that may have several types, the causes say why it is none of them.
    cause = error
    while (cause := cause.__cause__) is not None:
        reason = getattr(cause, "message", None) or str(cause.args[-1] if cause.args else cause)
        reasons += [reason] * (reason not in reasons[0])
    return " ".join(reasons)


def _refusal_in_worker(error: BaseException) -> Optional[str]:
    """The same in a process that trains or reads, from which only the text of the traceback comes."""
    if type(error).__name__ not in ("ProcessRaisedException", "WorkerError"):
        return None
    # After the last place in the code comes the exception that ended the process, less indented than what is there.
    last = re.split(r'^ *File "[^"]+", line \d+, in .*$', str(error), flags=re.MULTILINE)[-1]
    refusals = r"allennlp\.common\.checks\.ConfigurationError|spigot_allennlp\.data\.format_error\.FormatError"
    found = re.search(rf"\A(?:\n {{4}}.*)*\n *(?:{refusals}): (.*)", last)
    return found[1] if found else None


def _jsonnet(error: BaseException) -> Optional[str]:
    found = re.match(r"(?:STATIC|RUNTIME) ERROR: ([^\n]*)(?:\n\t(\S+))?", str(error))
    if type(error) is not RuntimeError or found is None:
        return None
    fault, place = found.groups()
    variable = re.fullmatch(r"undefined external variable: (.*)", fault)
    if variable is not None:
        fault = f"expected the environment variable {variable[1]} to be set"
    return f"{place}: {fault}" if place is not None else fault
