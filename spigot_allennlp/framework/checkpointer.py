import contextlib
import logging
import zipfile
from pathlib import Path
from typing import Optional

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.common.util import is_distributed
from allennlp.training import Checkpointer
from allennlp.training.trainer import TrainerCheckpoint

logger = logging.getLogger(__name__)


@Checkpointer.register("spigot")
class WholeCheckpointer(Checkpointer):
    """
    The framework's checkpointer, with the same parameters and files, which continues from the latest whole checkpoint.

    A process that is killed while it writes leaves a checkpoint that the framework can neither load nor, once it is
    there, write again: it is put aside, and the one before it is loaded. And workers on several machines, which have
    checkpoints of their own, must all have the same latest one: from unlike ones they would wait for each other.

    Registered as a `Checkpointer` with name "spigot". The trainer "spigot" has it by default.
    """

    def load_checkpoint(self) -> Optional[TrainerCheckpoint]:
        """
        # Raises

        `ConfigurationError`, if the latest checkpoint is another one on another machine; `OSError`, which says nothing
        of what a file holds, if one cannot be opened now.
        """
        while (paths := self.find_latest_checkpoint()) and not all(map(_is_whole, paths)):
            logger.warning("The checkpoint %s is incomplete and is put aside.", paths[0])
            for path in reversed(paths):  # the weights, by which it is found, last
                with contextlib.suppress(FileNotFoundError):  # in distributed training another worker may be faster
                    Path(path).replace(f"{path}.incomplete")
        checkpoint = super().load_checkpoint()
        if is_distributed():
            _check_same_everywhere(Path(paths[0]).name if paths else "none")
        return checkpoint


def _is_whole(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            # PyTorch's files are zip archives, whose last bytes are what makes them one.
            return zipfile.is_zipfile(file)
    except FileNotFoundError:  # killed between the two files
        return False


def _check_same_everywhere(name: str) -> None:
    names = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(names, name)
    if len(set(names)) > 1:
        raise ConfigurationError(
            f"expected the same latest checkpoint on all machines, found {', '.join(sorted(set(names)))}: "
            "remove the later ones"
        )
