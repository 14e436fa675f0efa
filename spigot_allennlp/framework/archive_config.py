"""The config of an archive, which is read without what else is in there."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

from allennlp.common import Params
from allennlp.common.file_utils import cached_path
from allennlp.models.archival import CONFIG_NAME


def read_config(archive_file: str | os.PathLike[str]) -> dict[str, Any]:
    """
    The config of an archive, a file or a folder, before overrides. That of a folder may be Jsonnet,
    as for the framework.

    # Raises

    `OSError`, `EOFError`, `KeyError`, `ValueError`, `RuntimeError`, `tarfile.TarError` or `zlib.error`, if there
    is none.
    """
    path = Path(cached_path(archive_file))
    if path.is_dir():
        config = Params.from_file(path / CONFIG_NAME).as_dict(quiet=True)
    else:
        with tarfile.open(path, "r:gz") as archive:
            file = archive.extractfile(CONFIG_NAME)
            if file is None:
                raise ValueError(f"expected a file {CONFIG_NAME}, found none")
            config = json.load(file)
    if not isinstance(config, dict):
        raise ValueError(f"expected a dictionary in {CONFIG_NAME}, found {type(config).__name__}")
    return config
