import logging
import shutil
from contextlib import suppress
from pathlib import Path

_WRITTEN_BEFORE_TRAINING = ("config.json", "meta.json", "out.log", "out_worker*.log", "vocabulary", "log")


class Remains:
    """
    What a training that bad input stops leaves in its folder, which the framework would refuse to train into again.

    # Parameters

    folder : `Path`
        As it is before the training writes to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._was_there = folder.is_dir()
        self._had_files = self._was_there and any(folder.iterdir())

    def remove(self, error: BaseException) -> bool:
        """
        Removes what was written before the training proper, unless that had begun, or the folder had files before or
        is another process's; and the folder, if it is new and nothing else is in it. Returns whether it did.
        """
        if self._had_files or not self._is_logged_to() or _may_have_trained(error) or any(self._folder.glob("*.th")):
            return False
        for pattern in _WRITTEN_BEFORE_TRAINING:
            for path in self._folder.glob(pattern):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        if not self._was_there:
            with suppress(OSError):  # something else has been put there
                self._folder.rmdir()
        return True

    def _is_logged_to(self) -> bool:
        handlers = logging.getLogger().handlers
        files = [Path(handler.baseFilename) for handler in handlers if isinstance(handler, logging.FileHandler)]
        return any(file.parent.resolve() == self._folder.resolve() for file in files)


def _may_have_trained(error: BaseException) -> bool:
    """Of an error in another process it is not known."""
    return getattr(error, "while_training", False) or type(error).__name__ == "ProcessRaisedException"
