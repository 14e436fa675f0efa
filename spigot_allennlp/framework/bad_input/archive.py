"""Archives of models, which users name in commands and configs."""

import errno
import os
import pickle
import tarfile
import zlib
from os import PathLike
from typing import Optional

from allennlp.common.file_utils import cached_path
from allennlp.common.params import parse_overrides
from allennlp.models import archival

from spigot_allennlp.framework.archive_safety import Trust, extracted
from spigot_allennlp.framework.bad_input.explanation import describe, explained, naming
from spigot_allennlp.framework.bad_input.settings import fault_of_setting


def load_archive(
    archive_file: str | PathLike[str],
    cuda_device: int = -1,
    overrides: str = "",
    weights_file: Optional[str] = None,
    trust: Optional[Trust] = None,
) -> archival.Archive:
    """
    The framework's `load_archive`, of an archive that does [no more than it may](../archive_safety.md). What it raises
    names the archive, and says what was expected.

    # Parameters

    archive_file, cuda_device, overrides, weights_file
        As the framework's.
    trust : `Trust`, optional
        By default what the command that is running trusts.
    """
    # Not above: what a command is explains its errors by loading its archive.
    from spigot_allennlp.framework.bad_input.command import running_trust

    def by(error: BaseException) -> Optional[str]:
        return _fault(error, archive_file, weights_file) or fault_of_setting(error, parse_overrides(overrides))

    with naming(archive_file), explained(Exception, by=by):
        with extracted(archive_file, overrides, running_trust() if trust is None else trust) as folder:
            return archival.load_archive(folder, cuda_device, overrides, weights_file)


def _fault(error: BaseException, archive_file: str | PathLike[str], weights_file: Optional[str]) -> Optional[str]:
    if isinstance(error, OSError) and _is_about_room(error):
        return f"expected room for the content of {archive_file} in the folder for temporary files, found {error}"
    if isinstance(error, (OSError, EOFError, tarfile.TarError, zlib.error)) and _is_broken(archive_file):
        return f"expected a model archive, found {describe(error)}"
    if _is_about_weights(error, weights_file):
        return f"expected the weights of the model that its config describes, found {describe(error)}"
    return str(error) if isinstance(error, OSError) else None


def _is_about_room(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or "temporary directory" in str(error)


def _is_broken(archive_file: str | PathLike[str]) -> bool:
    """Whether there is a file, but no readable archive."""
    try:
        path = cached_path(archive_file)
        if not os.path.isdir(path):
            with tarfile.open(path, "r:gz") as archive:
                archive.getmembers()
    except FileNotFoundError:
        return False
    except (OSError, EOFError, tarfile.TarError, zlib.error):
        return True
    return False


def _is_about_weights(error: BaseException, weights_file: Optional[str]) -> bool:
    text = str(error)
    if isinstance(error, OSError):
        return (weights_file or archival._DEFAULT_WEIGHTS) in text
    if isinstance(error, RuntimeError):
        return any(words in text for words in ("state_dict", "state dict", "PytorchStreamReader"))
    return isinstance(error, (EOFError, pickle.UnpicklingError))  # nothing else in an archive is pickled
