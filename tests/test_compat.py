import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params, cached_transformers
from allennlp.models import Model
from allennlp.training import Checkpointer
from allennlp.training.callbacks import WandBCallback
from allennlp.training.learning_rate_schedulers import LearningRateScheduler, ReduceOnPlateauLearningRateScheduler
from allennlp.training.trainer import TrainerCheckpoint
from transformers import PreTrainedTokenizerBase

from spigot_allennlp import compat
from tests import FIXTURES_ROOT


def train(output: Path, trainer: dict, recover: bool = False) -> Model:
    """Trains for two epochs, of which the first is the best one."""
    settings = {"num_epochs": 2, "validation_metric": "+labelled_f1", **trainer}
    overrides = json.dumps({f"trainer.{key}": value for key, value in settings.items()})
    return train_model_from_file(
        FIXTURES_ROOT / "semantic_parser.jsonnet", output, overrides=overrides, recover=recover
    )


def forget_second_epoch(output: Path) -> None:
    for path in output.glob("*_state_e2_b0.th"):
        path.unlink()


class TestTokenizer:
    def test_repaired_only_where_needed(self, monkeypatch):
        repaired = cached_transformers.get_tokenizer
        monkeypatch.setattr(cached_transformers, "get_tokenizer", original := lambda name, **kwargs: (name, kwargs))
        compat.repair()
        try:
            PreTrainedTokenizerBase(add_special_tokens=False)
        except AttributeError:
            assert cached_transformers.get_tokenizer("x", add_special_tokens=False, use_fast=True) == (
                "x",
                {"use_fast": True},
            )
            assert repaired.__wrapped__  # importing the package has repaired the real one
        else:
            assert cached_transformers.get_tokenizer is original

    def test_a_library_that_takes_the_argument_is_left_alone(self, monkeypatch):
        monkeypatch.setattr(compat, "PreTrainedTokenizerBase", lambda add_special_tokens: None)
        before = cached_transformers.get_tokenizer
        compat.repair()
        assert cached_transformers.get_tokenizer is before

    def test_other_errors_are_not_swallowed(self, monkeypatch):
        def broken(add_special_tokens):
            raise RuntimeError("something else")

        monkeypatch.setattr(compat, "PreTrainedTokenizerBase", broken)
        with pytest.raises(RuntimeError):
            compat.repair()


class TestSchedulers:
    @pytest.mark.parametrize(
        "scheduler", [{"type": "cosine", "t_initial": 3}, {"type": "reduce_on_plateau", "mode": "max", "patience": 1}]
    )
    def test_trains_and_recovers(self, tmp_path, scheduler):
        trainer = {"learning_rate_scheduler": scheduler}
        train(tmp_path, trainer)
        last = torch.load(tmp_path / "training_state_e2_b0.th")
        forget_second_epoch(tmp_path)
        train(tmp_path, trainer, recover=True)
        recovered = torch.load(tmp_path / "training_state_e2_b0.th")
        assert recovered["optimizer"]["param_groups"] == last["optimizer"]["param_groups"]
        assert recovered["learning_rate_scheduler"] == last["learning_rate_scheduler"]

    def test_a_torch_that_loads_numbers_of_numpy_is_left_alone(self, monkeypatch):
        monkeypatch.setattr(torch.serialization, "add_safe_globals", lambda types: pytest.fail("not needed"))
        with torch.serialization.safe_globals(compat._NUMPY_SCALAR):
            compat.repair()

    def test_a_torch_that_takes_verbose_is_left_alone(self, monkeypatch):
        monkeypatch.setattr(compat, "ReduceLROnPlateau", lambda optimizer, verbose: None)
        before = ReduceOnPlateauLearningRateScheduler.__init__
        compat.repair()
        assert ReduceOnPlateauLearningRateScheduler.__init__ is before

    def test_reduce_on_plateau_passes_its_settings_on(self):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        params = {"type": "reduce_on_plateau", "mode": "max", "factor": 0.2, "patience": 0, "verbose": True}
        scheduler = LearningRateScheduler.from_params(Params(params), optimizer=optimizer)
        for metric in (0.5, 0.4):
            scheduler.step(metric)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


class TestWandB:
    @pytest.fixture
    def start(self, monkeypatch, tmp_path):
        """Starts the callback with a stand-in for wandb, and gives the run's id."""

        def start(**util) -> str:
            runs = []
            wandb = SimpleNamespace(
                util=SimpleNamespace(**util),
                init=lambda id, **kwargs: runs.append(id),
                save=lambda *args, **kwargs: None,
            )
            monkeypatch.setitem(sys.modules, "wandb", wandb)
            (tmp_path / "config.json").write_text("{}")
            WandBCallback(str(tmp_path), watch_model=False).on_start(SimpleNamespace(), is_primary=True)
            return runs[0]

        return start

    def test_a_run_gets_an_id(self, start):
        assert start() and start() != start()

    def test_a_library_that_generates_ids_is_left_alone(self, start):
        assert start(generate_id=lambda: "its own") == "its own"

    @pytest.mark.slow
    def test_trains_and_recovers_offline(self, monkeypatch, tmp_path):
        wandb = pytest.importorskip("wandb")
        for name, value in {"MODE": "offline", "SILENT": "true", "CONSOLE": "off", "ERROR_REPORTING": "false"}.items():
            monkeypatch.setenv(f"WANDB_{name}", value)
        trainer = {"callbacks": [{"type": "wandb", "project": "parsers"}]}
        train(tmp_path, trainer)
        forget_second_epoch(tmp_path)
        train(tmp_path, trainer, recover=True)
        wandb.teardown()
        ids = {path.stem for path in tmp_path.glob("wandb/offline-run-*/run-*.wandb")}
        assert len(ids) == 1  # the recovered training goes on with its run


class TestCheckpoints:
    @staticmethod
    def save(checkpointer: Checkpointer, epochs: int) -> None:
        training_state = {"epochs_completed": epochs, "batches_in_epoch_completed": 0}
        state = TrainerCheckpoint({"weight": torch.full((100,), epochs)}, training_state)
        checkpointer.save_checkpoint(SimpleNamespace(get_checkpoint_state=lambda: state))

    @pytest.mark.parametrize("name", ["model_state", "training_state"])
    @pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
    def test_half_written_is_replaced(self, tmp_path, name, share):
        checkpointer = Checkpointer(tmp_path)
        self.save(checkpointer, 1)
        self.save(checkpointer, 2)
        path = tmp_path / f"{name}_e2_b0.th"
        os.truncate(path, int(share * path.stat().st_size))
        assert checkpointer.load_checkpoint().trainer_state["epochs_completed"] == 1
        self.save(checkpointer, 2)
        assert checkpointer.load_checkpoint().trainer_state["epochs_completed"] == 2

    def test_half_written_is_all_there_is(self, tmp_path):
        (tmp_path / "model_state_e1_b0.th").touch()
        assert Checkpointer(tmp_path).load_checkpoint() is None
        assert not list(tmp_path.iterdir())

    def test_whole_ones_are_kept(self, tmp_path):
        checkpointer = Checkpointer(tmp_path)
        self.save(checkpointer, 1)
        self.save(checkpointer, 2)
        assert checkpointer.load_checkpoint().model_state["weight"].tolist() == [2] * 100
        assert len(list(tmp_path.iterdir())) == 4

    @pytest.mark.parametrize("is_there", [False, True])
    def test_best_weights_are_those_of_the_best_epoch(self, tmp_path, is_there):
        train(tmp_path, {})
        forget_second_epoch(tmp_path)
        if not is_there:
            (tmp_path / "best.th").unlink()
        model = train(tmp_path, {}, recover=True)
        first = torch.load(tmp_path / "model_state_e1_b0.th")
        archived = torch.load(tmp_path / "best.th")
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, first[name]) and torch.equal(archived[name], first[name])
