"""
What the command line says of bad input: `error: …`, one line in place of a traceback.

Only what a user can mend is told like this. All other errors keep their traceback, and with the framework's environment
variable ALLENNLP_DEBUG these do too. The exceptions stay what they are: from Python there is no difference.
"""

import functools
import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from reprlib import repr as shortened
from traceback import walk_stack, walk_tb
from types import CodeType, FrameType, TracebackType
from typing import Optional

import torch
from allennlp import commands
from allennlp.commands.predict import _PredictManager
from allennlp.commands.train import TrainModel
from allennlp.common import FromParams, Params, cached_transformers, from_params, params
from allennlp.common import logging as common_logging
from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path, open_compressed
from allennlp.common.util import dump_metrics
from allennlp.data.data_loaders import MultiTaskDataLoader
from allennlp.data.data_loaders.multiprocess_data_loader import WorkerError
from allennlp.models.archival import extracted_archive, load_archive
from allennlp.modules.token_embedders.embedding import EmbeddingsTextFile, _read_pretrained_embeddings_file
from allennlp.predictors import Predictor
from allennlp.training.util import create_serialization_dir
from torch.multiprocessing import ProcessRaisedException

from spigot_allennlp.data.blocks import read_file
from spigot_allennlp.data.dataset_readers.sdp import SdpReader
from spigot_allennlp.data.dataset_readers.sentence_reader import SentenceReader
from spigot_allennlp.data.format_error import FormatError


def report() -> None:
    """While the `allennlp` command runs, uncaught errors are told in one line, where they are explained."""
    if all(frame.f_code is not commands.main.__code__ for frame, _ in walk_stack(None)):
        return
    sys.excepthook = _reporting(sys.excepthook)
    # A training sets a hook of its own.
    prepare_global_logging = common_logging.prepare_global_logging

    @functools.wraps(prepare_global_logging)
    def prepare_and_report(*args, **kwargs) -> None:
        prepare_global_logging(*args, **kwargs)
        sys.excepthook = _reporting(sys.excepthook)

    common_logging.prepare_global_logging = prepare_and_report


def explain(error: BaseException) -> Optional[str]:
    """
    What was expected and what was found, in one line, if it is the user's input that raised the error: data, a config,
    an archive or an option. `None` for any other error.
    """
    explanation = next(filter(None, (explain_kind(error) for explain_kind in _EXPLANATIONS)), None)
    if explanation is None:
        return None
    for function, argument in ((_read_pretrained_embeddings_file, "file_uri"), (load_archive, "archive_file")):
        frame = _innermost(error, function)
        if frame is not None and str(frame.f_locals[argument]) not in explanation:
            explanation = f"{frame.f_locals[argument]}: {explanation}"
    return " ".join(explanation.split())


def comes_from(error: BaseException, *functions: Callable) -> bool:
    """Whether the error was raised while one of the functions ran, here or in a process that trains or reads for it."""
    places = "|".join(
        rf'"{re.escape(code.co_filename)}", line \d+, in {re.escape(code.co_name)}$' for code in map(_code, functions)
    )
    in_process = isinstance(error, _IN_PROCESS) and re.search(places, str(error), flags=re.MULTILINE)
    return bool(in_process) or _innermost(error, *functions) is not None


def _reporting(excepthook: Callable) -> Callable:
    @functools.wraps(excepthook)
    def tell(kind: type[BaseException], error: BaseException, traceback: Optional[TracebackType]) -> None:
        debug = bool(os.environ.get("ALLENNLP_DEBUG"))
        explanation = explain(error) if comes_from(error, commands.main) and not debug else None
        if explanation is None:
            excepthook(kind, error, traceback)
            return
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.FileHandler):  # out.log, where a training has one
                record = (__name__, logging.CRITICAL, __file__, 0, explanation, (), (kind, error, traceback))
                handler.handle(logging.LogRecord(*record))
        print(f"error: {explanation}", file=sys.stderr)

    return tell


def _code(function: Callable) -> CodeType:
    return inspect.unwrap(function).__code__


def _frames(error: BaseException) -> list[FrameType]:
    """Of the traceback, the innermost first."""
    return [frame for frame, _ in walk_tb(error.__traceback__)][::-1]


def _innermost(error: BaseException, *functions: Callable) -> Optional[FrameType]:
    """The last frame of the traceback that runs one of the functions."""
    codes = set(map(_code, functions))
    return next((frame for frame in _frames(error) if frame.f_code in codes), None)


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _refusal(error: BaseException) -> Optional[str]:
    """What the framework or this package refuses in so many words."""
    if not isinstance(error, (ConfigurationError, FormatError)):
        return None
    reasons = [str(error)]
    # Of a setting that may have several types, the causes say why it is none of them.
    cause = error
    while (cause := cause.__cause__) is not None:
        reason = getattr(cause, "message", None) or str(cause.args[-1] if cause.args else cause)
        reasons += [reason] * (reason not in reasons[0])
    return " ".join(reasons)


def _refusal_in_worker(error: BaseException) -> Optional[str]:
    """The same in another process, from which only the text of the traceback comes."""
    if not isinstance(error, _IN_PROCESS):
        return None
    refusals = "|".join(re.escape(f"{kind.__module__}.{kind.__name__}") for kind in (ConfigurationError, FormatError))
    # After the last place in the code comes the exception that ended the process, less indented than what is there.
    last = re.split(r'^ *File "[^"]+", line \d+, in .*$', str(error), flags=re.MULTILINE)[-1]
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


def _json(error: BaseException) -> Optional[str]:
    if not isinstance(error, json.JSONDecodeError) or comes_from(error, *_TRAINING):
        return None
    decodes = next((frame for frame in _frames(error) if _package(frame) != json.__name__), None)
    if decodes is None or _package(decodes) not in _PACKAGES:
        return None
    return f"expected JSON, found {shortened(error.doc)}: {error.msg} at line {error.lineno}, column {error.colno}"


def _file(error: BaseException) -> Optional[str]:
    """Whatever goes wrong while a file is opened or read that is all the user's."""
    vectors = _innermost(error, EmbeddingsTextFile.__init__, EmbeddingsTextFile.__next__)
    if vectors is not None and not isinstance(error, OSError):
        return f"{vectors.f_locals['self'].uri}: expected a text file of word vectors, found {_name(error)}"
    if _innermost(error, load_archive) is not None:
        if _innermost(error, extracted_archive) is not None:
            return f"expected a model archive, found {_name(error)}"
        if _innermost(error, torch.load, torch.nn.Module.load_state_dict) is not None:
            return f"expected the weights of the model that its config describes, found {_name(error)}"
    is_read = comes_from(error, *_READERS) and not comes_from(error, *_TRAINING)
    return str(error) if isinstance(error, OSError) and is_read else None


def _input_of_predict(error: BaseException) -> Optional[str]:
    frame = _innermost(error, _PredictManager._get_json_data)
    if not isinstance(error, (EOFError, UnicodeDecodeError)) or frame is None:
        return None
    name = frame.f_locals["self"]._input_file
    if isinstance(error, EOFError):
        return f"{name}: {error}"
    fault = f"expected UTF-8, found the byte 0x{error.object[error.start]:02x}"
    if name == "-":
        return fault
    with open_compressed(cached_path(name), "rb", encoding=None) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return str(FormatError(fault, name, number))
    return None


def _paths_of_tasks(error: BaseException) -> Optional[str]:
    frame = _innermost(error, MultiTaskDataLoader.__init__)
    if frame is None or frame is not _frames(error)[0]:
        return None
    tasks, paths = frame.f_locals["reader"].readers, frame.f_locals["data_path"]
    if isinstance(paths, dict) and paths.keys() == tasks.keys():
        return None
    example = json.dumps({task: "…" for task in tasks}, ensure_ascii=False)
    return f"expected a path for each task, {example}, found {shortened(paths)}"


def _setting(error: BaseException) -> Optional[str]:
    """What the framework says of a setting in other words than a `ConfigurationError`, and what constructors refuse."""
    frame = next(iter(_frames(error)), None)
    if frame is None or not isinstance(error, (TypeError, ValueError)):
        return None
    if frame.f_code.co_filename in (from_params.__file__, params.__file__):
        return str(error)
    caller = _innermost(error, FromParams.from_params.__func__, Predictor.from_archive.__func__)
    if caller is None:
        return None
    constructed = frame.f_locals.get("self") if frame.f_code.co_name == "__init__" else None
    if type(error) is ValueError and constructed is not None and _package(frame) in ("torch", *_PACKAGES):
        return f"{type(constructed).__name__}: {error}"
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    given = caller.f_locals.get("kwargs") or caller.f_locals.get("extra_args") or {}
    return str(error) if unexpected is not None and unexpected[1] in given else None


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


_IN_PROCESS = (ProcessRaisedException, WorkerError)
_PACKAGES = ("allennlp", __package__)
_READERS = (
    cached_path,
    cached_transformers.get,
    cached_transformers.get_tokenizer,
    create_serialization_dir,
    dump_metrics,
    EmbeddingsTextFile.__init__,
    EmbeddingsTextFile.__next__,
    Params.from_file,
    Params.to_file,
    read_file,
    SdpReader._read_companion,
    SentenceReader.find_file,
    _PredictManager.__init__,
    _PredictManager._get_json_data,
)
"""What opens the files that the user names."""
_TRAINING = (TrainModel.run, TrainModel.finish)
_EXPLANATIONS = (_refusal, _refusal_in_worker, _jsonnet, _json, _paths_of_tasks, _setting, _input_of_predict, _file)
