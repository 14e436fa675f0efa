"""What a training that fails leaves behind."""

import json
import os
import shutil
from pathlib import Path

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.training import GradientDescentTrainer
from allennlp.training import util as training_util
from torch.multiprocessing import ProcessRaisedException

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.framework.bad_input.remains import Remains
from tests import FIXTURES_ROOT
from tests.framework.training import train


@pytest.fixture(autouse=True)
def working_directory(monkeypatch):
    monkeypatch.chdir(FIXTURES_ROOT.parent)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail(error: Exception, output: Path, *files: str, during: str = "__init__", recover: bool = False) -> None:
    """
    Trains until an error, when the files are there: while the trainer is made, or in the middle of the first epoch.
    Then removes the remains, as for bad input.
    """

    def raise_error(*args, **kwargs):
        for name in files:
            (output / name).touch()
        raise error

    remains = Remains(output)
    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(type(error)) as caught:
        monkeypatch.setattr(GradientDescentTrainer, during, raise_error)
        train(output, recover=recover)
    assert caught.value is error
    remains.remove(error)


def test_nothing_after_bad_input(tmp_path):
    fail(FormatError("bad"), tmp_path / "new" / "output")
    assert not (tmp_path / "new" / "output").exists()
    fail(FormatError("bad"), tmp_path / "new")
    assert names(tmp_path / "new") == set()  # which was there, and empty


def test_a_relative_path(tmp_path):
    fail(FormatError("bad"), Path(os.path.relpath(tmp_path / "output")))
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("checkpoint", ["best.th", "model_state_e0_b5.th"])
def test_checkpoints_stay(tmp_path, checkpoint):
    fail(FormatError("bad"), tmp_path / "output", checkpoint)
    assert {checkpoint, "config.json", "out.log"} <= names(tmp_path / "output")


def test_what_the_user_puts_there_meanwhile_stays(tmp_path):
    fail(FormatError("bad"), tmp_path / "output", "notes.txt")
    assert names(tmp_path / "output") == {"notes.txt"}


def test_a_folder_that_was_there_stays_what_it_is(tmp_path):
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared").chmod(0o2770)
    (tmp_path / "link").symlink_to("prepared")
    before = (tmp_path / "prepared").stat()
    for name in ("prepared", "link"):
        fail(FormatError("bad"), tmp_path / name)
        after = (tmp_path / "prepared").stat()
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
        assert names(tmp_path / "prepared") == set()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize(
    "error",
    [
        FormatError("bad"),
        ConfigurationError("bad"),
        OSError(28, "No space left on device"),
        ConnectionResetError("by peer"),
        json.JSONDecodeError("Expecting value", "<html>", 0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_all_stays_where_training_has_begun(tmp_path, error):
    fail(error, tmp_path / "output", during="_train_epoch")
    assert {"config.json", "meta.json", "out.log", "vocabulary"} <= names(tmp_path / "output")


def test_all_stays_where_that_is_not_known(tmp_path):
    error = ProcessRaisedException("of a worker", error_index=0, error_pid=1)
    fail(error, tmp_path / "output")
    assert {"config.json", "meta.json", "out.log", "vocabulary"} <= names(tmp_path / "output")


@pytest.mark.parametrize("recover", [False, True])
def test_what_was_there_before_stays(tmp_path, recover):
    (tmp_path / "results.txt").touch()
    remains = Remains(tmp_path)
    with pytest.raises(ConfigurationError, match=r"not empty|config\.json") as caught:
        train(tmp_path, recover=recover)
    assert not remains.remove(caught.value)
    assert names(tmp_path) == {"results.txt"}


def test_what_another_training_writes_meanwhile_stays(monkeypatch, tmp_path):
    def create(params, output, recover, force, create=training_util.create_serialization_dir):
        (output / "config.json").touch()
        create(params, output, recover, force)

    remains = Remains(tmp_path)
    monkeypatch.setattr(training_util, "create_serialization_dir", create)
    with pytest.raises(ConfigurationError, match="not empty") as caught:
        train(tmp_path)
    assert not remains.remove(caught.value)
    assert names(tmp_path) == {"config.json"}


def test_a_recovered_training_that_fails_keeps_its_directory(tmp_path):
    error = ZeroDivisionError("as a kill would")
    fail(error, tmp_path / "output", during="_train_epoch")
    before = names(tmp_path / "output")
    fail(FormatError("bad"), tmp_path / "output", recover=True)
    assert names(tmp_path / "output") >= before


@pytest.mark.parametrize("remains", [[], ["meta.json", "out.log"], ["meta.json", "out.log", "vocabulary"]])
def test_what_a_kill_leaves_before_the_first_checkpoint_is_recovered(tmp_path, remains):
    fail(ZeroDivisionError("as a kill would"), tmp_path, during="_train_epoch")
    for path in tmp_path.iterdir():
        if path.name not in {"config.json", *remains}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in tmp_path.glob("vocabulary/*"):  # which was being written
        path.unlink()
    train(tmp_path, recover=True)
    assert (tmp_path / "model.tar.gz").exists()
