"""The four repairs, and that nothing else of the framework is replaced."""

import sys
from types import SimpleNamespace

import pytest
import torch
from allennlp.common import Params, cached_transformers
from allennlp.training.callbacks import WandBCallback
from allennlp.training.learning_rate_schedulers import LearningRateScheduler, ReduceOnPlateauLearningRateScheduler
from transformers import PreTrainedTokenizerBase

from spigot_allennlp.framework import libraries
from tests.framework.training import forget_second_epoch, train
from tests.programs import run

# Prints what of modules and classes of the framework is another object after the plugin is imported.
COMPARISON = """
import sys
from allennlp.common.util import import_module_and_submodules

import_module_and_submodules("allennlp", exclude={"allennlp.sanity_checks", "allennlp.tools"})


def attributes():
    owners = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "allennlp"}
    for name, module in list(owners.items()):
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == name:
                owners[f"{name}.{value.__qualname__}"] = value
    return {f"{name}.{key}": value for name, owner in owners.items() for key, value in vars(owner).items()}


before, excepthook = attributes(), sys.excepthook
import spigot_allennlp.plugin

after = attributes()
print(*(name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)))
print(len(before) > 5000, sys.excepthook is excepthook)
"""


def test_nothing_else_is_replaced():
    replaced, rest = run(COMPARISON).out.splitlines()[-2:]
    # The fourth, numbers of NumPy in checkpoints, is an entry of PyTorch's list of what it loads.
    assert set(replaced.split()) <= {
        "allennlp.common.cached_transformers.get_tokenizer",
        "allennlp.training.callbacks.wandb.WandBCallback.on_start",
        "allennlp.training.learning_rate_schedulers.pytorch_lr_schedulers.ReduceOnPlateauLearningRateScheduler.__init__",
    }
    assert rest == "True True"


def test_repairs_are_made_once():
    libraries.repair()
    before = cached_transformers.get_tokenizer, WandBCallback.on_start, ReduceOnPlateauLearningRateScheduler.__init__
    libraries.repair()
    after = cached_transformers.get_tokenizer, WandBCallback.on_start, ReduceOnPlateauLearningRateScheduler.__init__
    assert before == after


class TestTokenizer:
    def test_repaired_only_where_needed(self, monkeypatch):
        repaired = cached_transformers.get_tokenizer
        monkeypatch.setattr(cached_transformers, "get_tokenizer", original := lambda name, **kwargs: (name, kwargs))
        libraries.repair()
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
        monkeypatch.setattr(libraries, "PreTrainedTokenizerBase", lambda add_special_tokens: None)
        before = cached_transformers.get_tokenizer
        libraries.repair()
        assert cached_transformers.get_tokenizer is before

    def test_other_errors_are_not_swallowed(self, monkeypatch):
        def broken(add_special_tokens):
            raise RuntimeError("something else")

        monkeypatch.setattr(libraries, "PreTrainedTokenizerBase", broken)
        with pytest.raises(RuntimeError):
            libraries.repair()


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
        with torch.serialization.safe_globals(libraries._NUMPY_SCALAR):
            libraries.repair()

    def test_a_torch_that_takes_verbose_is_left_alone(self, monkeypatch):
        monkeypatch.setattr(libraries, "ReduceLROnPlateau", lambda optimizer, verbose: None)
        before = ReduceOnPlateauLearningRateScheduler.__init__
        libraries.repair()
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
