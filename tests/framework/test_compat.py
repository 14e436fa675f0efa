import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params, cached_transformers
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.data.data_loaders import MultiProcessDataLoader
from allennlp.data.samplers import MaxTokensBatchSampler
from allennlp.models import Model
from allennlp.training import Checkpointer, GradientDescentTrainer
from allennlp.training import util as training_util
from allennlp.training.callbacks import MixedPrecisionBackwardCallback, WandBCallback
from allennlp.training.learning_rate_schedulers import LearningRateScheduler, ReduceOnPlateauLearningRateScheduler
from allennlp.training.metrics import CategoricalAccuracy
from allennlp.training.trainer import TrainerCheckpoint
from transformers import PreTrainedTokenizerBase

from spigot_allennlp.data.dataset_readers import SdpReader
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.framework import compat
from spigot_allennlp.training.metrics import Accuracy
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


def test_repairs_are_made_once():
    before = Checkpointer.load_checkpoint, Vocabulary.from_files.__func__, GradientDescentTrainer._validation_loss
    compat.repair()
    after = Checkpointer.load_checkpoint, Vocabulary.from_files.__func__, GradientDescentTrainer._validation_loss
    assert before == after


def test_another_version_is_left_alone(monkeypatch):
    monkeypatch.setattr(compat, "VERSION", "2.11.0")
    monkeypatch.setattr(Checkpointer, "load_checkpoint", original := lambda self: None)
    compat.repair()
    assert Checkpointer.load_checkpoint is original


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


class TestRemains:
    """What a training that fails leaves behind."""

    @staticmethod
    def fail(error: Exception, output: Path, *files: str, during: str = "_train_epoch", recover: bool = False) -> None:
        """Trains until an error in the middle of the first epoch, when the files are there, or while it gets ready."""

        def raise_error(*args, **kwargs):
            for name in files:
                (output / name).touch()
            raise error

        with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(type(error)) as caught:
            monkeypatch.setattr(GradientDescentTrainer, during, raise_error)
            train(output, {}, recover=recover)
        assert caught.value is error

    def test_nothing_after_bad_input(self, tmp_path):
        self.fail(FormatError("bad"), tmp_path / "new" / "output", during="__init__")
        assert not (tmp_path / "new" / "output").exists()
        self.fail(FormatError("bad"), tmp_path / "new", during="__init__")
        assert list((tmp_path / "new").iterdir()) == []  # which was there, and empty

    @pytest.mark.parametrize("checkpoint", ["best.th", "model_state_e0_b5.th"])
    def test_checkpoints_stay(self, tmp_path, checkpoint):
        self.fail(FormatError("bad"), tmp_path / "output", checkpoint, during="__init__")
        assert {checkpoint, "config.json", "out.log"} <= {path.name for path in (tmp_path / "output").iterdir()}

    def test_what_the_user_puts_there_meanwhile_stays(self, tmp_path):
        self.fail(FormatError("bad"), tmp_path / "output", "notes.txt", during="__init__")
        assert [path.name for path in (tmp_path / "output").iterdir()] == ["notes.txt"]

    def test_a_folder_that_was_there_stays_what_it_is(self, tmp_path):
        (tmp_path / "prepared").mkdir()
        (tmp_path / "prepared").chmod(0o2770)
        (tmp_path / "link").symlink_to("prepared")
        before = (tmp_path / "prepared").stat()
        for name in ("prepared", "link"):
            self.fail(FormatError("bad"), tmp_path / name, during="__init__")
            after = (tmp_path / "prepared").stat()
            assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
            assert list((tmp_path / "prepared").iterdir()) == []
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
    def test_all_stays_where_training_has_begun(self, tmp_path, error):
        self.fail(error, tmp_path / "output")
        names = {path.name for path in (tmp_path / "output").iterdir()}
        assert {"config.json", "meta.json", "out.log", "vocabulary"} <= names

    def test_the_logs_of_what_bad_input_does_not_explain_stay(self, tmp_path):
        self.fail(ZeroDivisionError("a bug"), tmp_path / "output")
        assert {"config.json", "out.log"} <= {path.name for path in (tmp_path / "output").iterdir()}

    @pytest.mark.parametrize("recover", [False, True])
    def test_what_was_there_before_stays(self, tmp_path, recover):
        (tmp_path / "results.txt").touch()
        with pytest.raises(ConfigurationError, match=r"not empty|config\.json"):
            train(tmp_path, {}, recover=recover)
        assert [path.name for path in tmp_path.iterdir()] == ["results.txt"]

    def test_what_another_process_writes_meanwhile_stays(self, monkeypatch, tmp_path):
        def create(params, output, recover, force, create=training_util.create_serialization_dir):
            (output / "results.txt").touch()
            create(params, output, recover, force)

        create.__wrapped__ = training_util.create_serialization_dir
        monkeypatch.setattr(training_util, "create_serialization_dir", create)
        with pytest.raises(ConfigurationError, match="not empty"):
            train(tmp_path, {})
        assert [path.name for path in tmp_path.iterdir()] == ["results.txt"]

    def test_a_recovered_training_that_fails_keeps_its_directory(self, tmp_path):
        self.fail(ZeroDivisionError("as a kill would"), tmp_path / "output")
        before = {path.name for path in (tmp_path / "output").iterdir()}
        self.fail(FormatError("bad"), tmp_path / "output", recover=True)
        assert {path.name for path in (tmp_path / "output").iterdir()} >= before

    @pytest.mark.parametrize("remains", [[], ["meta.json", "out.log"], ["meta.json", "out.log", "vocabulary"]])
    def test_what_a_kill_leaves_before_the_first_checkpoint_is_recovered(self, tmp_path, remains):
        self.fail(ZeroDivisionError("as a kill would"), tmp_path)
        for path in tmp_path.iterdir():
            if path.name not in {"config.json", *remains}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in tmp_path.glob("vocabulary/*"):  # which was being written
            path.unlink()
        train(tmp_path, {}, recover=True)
        assert (tmp_path / "model.tar.gz").exists()


class TestMaxTokens:
    @staticmethod
    def batches(max_tokens: int) -> list[int]:
        loader = MultiProcessDataLoader(
            SdpReader(),
            str(FIXTURES_ROOT / "toy" / "toy.sdp"),
            batch_sampler=MaxTokensBatchSampler(max_tokens, sorting_keys=["tokens"], padding_noise=0.0),
        )
        loader.index_with(Vocabulary.from_instances(loader.iter_instances()))
        return [len(batch["metadata"]) for batch in loader]

    def test_a_sentence_that_is_too_long_for_any_batch_goes_alone(self):
        assert self.batches(1) == [1] * 10
        assert sum(self.batches(20)) == 10

    @pytest.mark.parametrize("max_tokens", [0, -1])
    def test_no_tokens_are_refused(self, max_tokens):
        with pytest.raises(ConfigurationError, match=f"max_tokens must be at least 1, but is {max_tokens}"):
            self.batches(max_tokens)


class TestConfigFile:
    def test_is_replaced_whole_or_not_at_all(self, tmp_path):
        Params({"random_seed": 1}).to_file(tmp_path / "config.json")
        with pytest.raises(TypeError):  # as a kill would, in the middle of writing
            Params({"random_seed": 2, "trainer": object()}).to_file(tmp_path / "config.json")
        assert Params.from_file(tmp_path / "config.json").as_dict() == {"random_seed": 1}


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
        assert [path.name for path in tmp_path.iterdir()] == ["model_state_e1_b0.th.incomplete"]

    @pytest.mark.parametrize("error", [PermissionError, OSError])
    def test_one_that_cannot_be_opened_now_is_not_taken_for_half_written(self, tmp_path, monkeypatch, error):
        checkpointer = Checkpointer(tmp_path)
        self.save(checkpointer, 1)

        def fail(*args, **kwargs):
            raise error("too many open files")

        with monkeypatch.context() as context, pytest.raises(error):
            context.setattr("builtins.open", fail)
            checkpointer.load_checkpoint()
        assert checkpointer.load_checkpoint().trainer_state["epochs_completed"] == 1

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


class TestGradientAccumulation:
    @staticmethod
    def backward(scale: float, steps: int) -> float:
        loss = torch.ones((), requires_grad=True)
        trainer = SimpleNamespace(
            _scaler=SimpleNamespace(scale=lambda loss: scale * loss), _num_gradient_accumulation_steps=steps
        )
        assert MixedPrecisionBackwardCallback("").on_backward(trainer, {"loss": loss}, False)
        return loss.grad.item()

    def test_scaled_losses_are_averaged_over_a_group(self):
        assert self.backward(scale=8.0, steps=4) == 2
        assert self.backward(scale=8.0, steps=1) == 8

    def test_a_framework_that_averages_is_left_alone(self):
        original = MixedPrecisionBackwardCallback.on_backward
        compat.repair()
        assert MixedPrecisionBackwardCallback.on_backward is original
        assert self.backward(scale=8.0, steps=4) == 2


COUNTS = {"words": {"often": 9, "once": 1}}


class TestFrequenciesOfTokens:
    def test_they_are_kept_beside_a_vocabulary(self, tmp_path):
        Vocabulary(counter=COUNTS).save_to_files(tmp_path)
        read = Vocabulary.from_params(Params({"type": "from_files", "directory": str(tmp_path)}))
        assert read._retained_counter == COUNTS
        assert read._token_to_index.keys() == {"words"}  # the file with them is no namespace

    def test_a_vocabulary_without_them_is_read_without(self, tmp_path):
        Vocabulary(tokens_to_add={"words": ["often"]}).save_to_files(tmp_path)
        assert not Vocabulary.from_files(tmp_path)._retained_counter

    def test_those_of_new_data_take_their_place(self, tmp_path):
        Vocabulary(counter=COUNTS).save_to_files(tmp_path)
        assert Vocabulary.from_files_and_instances([], tmp_path)._retained_counter.get("words", {}) == {}


class TestMetricsThatNeedNoOtherWorker:
    def test_only_models_whose_metrics_all_count_alone(self):
        model = torch.nn.Module()
        assert not compat._counts_alone(model)
        model.accuracy = Accuracy()
        assert compat._counts_alone(model)
        model.stage = torch.nn.Module()
        model.stage.accuracy = CategoricalAccuracy()
        assert not compat._counts_alone(model)

    @pytest.mark.parametrize("container", [{"accuracy": CategoricalAccuracy()}, [CategoricalAccuracy()]])
    def test_metrics_in_a_container_are_seen(self, container):
        model = torch.nn.Module()
        model.accuracy = Accuracy()
        model.metrics = container
        assert not compat._counts_alone(model)
