import os
from types import SimpleNamespace

import pytest
import torch
from allennlp.training import Checkpointer
from allennlp.training.trainer import TrainerCheckpoint

from spigot_allennlp.framework.checkpointer import WholeCheckpointer


def save(checkpointer: Checkpointer, epochs: int) -> None:
    training_state = {"epochs_completed": epochs, "batches_in_epoch_completed": 0}
    state = TrainerCheckpoint({"weight": torch.full((100,), epochs)}, training_state)
    checkpointer.save_checkpoint(SimpleNamespace(get_checkpoint_state=lambda: state))


@pytest.mark.parametrize("name", ["model_state", "training_state"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_half_written_is_replaced(tmp_path, name, share):
    checkpointer = WholeCheckpointer(tmp_path)
    save(checkpointer, 1)
    save(checkpointer, 2)
    path = tmp_path / f"{name}_e2_b0.th"
    os.truncate(path, int(share * path.stat().st_size))
    assert checkpointer.load_checkpoint().trainer_state["epochs_completed"] == 1
    save(checkpointer, 2)
    assert checkpointer.load_checkpoint().trainer_state["epochs_completed"] == 2


def test_half_written_is_all_there_is(tmp_path):
    (tmp_path / "model_state_e1_b0.th").touch()
    assert WholeCheckpointer(tmp_path).load_checkpoint() is None
    assert [path.name for path in tmp_path.iterdir()] == ["model_state_e1_b0.th.incomplete"]


@pytest.mark.parametrize("error", [PermissionError, OSError])
def test_one_that_cannot_be_opened_now_is_not_taken_for_half_written(tmp_path, monkeypatch, error):
    checkpointer = WholeCheckpointer(tmp_path)
    save(checkpointer, 1)

    def fail(*args, **kwargs):
        raise error("too many open files")

    with monkeypatch.context() as context, pytest.raises(error):
        context.setattr("builtins.open", fail)
        checkpointer.load_checkpoint()
    assert checkpointer.load_checkpoint().trainer_state["epochs_completed"] == 1


def test_whole_ones_are_kept(tmp_path):
    checkpointer = WholeCheckpointer(tmp_path)
    save(checkpointer, 1)
    save(checkpointer, 2)
    assert checkpointer.load_checkpoint().model_state["weight"].tolist() == [2] * 100
    assert len(list(tmp_path.iterdir())) == 4
