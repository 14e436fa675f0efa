import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from allennlp.commands.train import TrainModel
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.models.archival import CONFIG_NAME
from allennlp.nn.parallel import TorchDdpAccelerator
from allennlp.training import Checkpointer, GradientDescentTrainer

from spigot_allennlp.framework import trainer as trainer_module
from spigot_allennlp.framework.checkpointer import WholeCheckpointer
from spigot_allennlp.framework.recover import RecoverCallback
from spigot_allennlp.framework.trainer import AveragedBackward, SpigotTrainer
from tests import FIXTURES_ROOT
from tests.framework.training import forget_second_epoch, train


@pytest.fixture(autouse=True)
def working_directory(monkeypatch):
    monkeypatch.chdir(FIXTURES_ROOT.parent)


def build(folder: Path, **trainer) -> SpigotTrainer:
    params = Params.from_file(FIXTURES_ROOT / "semantic_parser.jsonnet", {"data_loader.batch_size": 3})
    params["trainer"].params.update(trainer)
    return TrainModel.from_params(params=params, serialization_dir=str(folder), local_rank=0).trainer


@pytest.mark.parametrize("is_there", [False, True])
def test_best_weights_are_those_of_the_best_epoch(tmp_path, is_there):
    train(tmp_path)
    forget_second_epoch(tmp_path)
    if not is_there:
        (tmp_path / "best.th").unlink()
    model = train(tmp_path, recover=True)
    first = torch.load(tmp_path / "model_state_e1_b0.th")
    archived = torch.load(tmp_path / "best.th")
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, first[name]) and torch.equal(archived[name], first[name])


class TestParts:
    """What the trainer has that no config names."""

    @pytest.mark.parametrize(
        "given, chosen",
        [
            ({}, WholeCheckpointer),
            ({"checkpointer": {"save_every_num_batches": 2}}, WholeCheckpointer),
            ({"checkpointer": {"type": "spigot", "save_every_num_batches": 2}}, WholeCheckpointer),
            ({"checkpointer": {"type": "default"}}, Checkpointer),
            ({"checkpointer": "default"}, Checkpointer),
            ({"checkpointer": None}, type(None)),
        ],
    )
    def test_checkpointer(self, tmp_path, given, chosen):
        checkpointer = build(tmp_path, **given)._checkpointer
        assert type(checkpointer) is chosen
        if "save_every_num_batches" in (given.get("checkpointer") or {}):
            assert checkpointer._save_every_num_batches == 2

    @pytest.mark.parametrize(
        "given", [{}, {"enable_default_callbacks": True}, {"callbacks": ["spigot_recover", "console_logger"]}]
    )
    def test_one_callback_for_recovery(self, tmp_path, given):
        callbacks = build(tmp_path, **given)._callbacks
        assert sum(isinstance(callback, RecoverCallback) for callback in callbacks) == 1
        assert not any(isinstance(callback, AveragedBackward) for callback in callbacks)

    def test_unused_parameters(self, tmp_path, monkeypatch):
        """In distributed training, unless the config says how the model is wrapped."""
        wrapped = []

        def wrap_model(accelerator, model):
            wrapped.append(accelerator._ddp_kwargs["find_unused_parameters"])
            raise InterruptedError

        monkeypatch.setattr(TorchDdpAccelerator, "wrap_model", wrap_model)
        accelerator = TorchDdpAccelerator(local_rank=0, world_size=2, cuda_device=-1)
        pipeline = Params.from_file(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet")
        alone = Params.from_file(FIXTURES_ROOT / "semantic_parser.jsonnet")
        monkeypatch.setattr("torch.distributed.get_rank", lambda: 0)
        monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
        for params, given in ((pipeline, None), (pipeline, accelerator), (alone, None)):
            settings = {"distributed": True, "world_size": 2, "cuda_device": -1}
            duplicate = params.duplicate()
            duplicate["trainer"].params.update(settings)
            with pytest.raises(InterruptedError):
                TrainModel.from_params(
                    params=duplicate, serialization_dir=str(tmp_path), local_rank=0, ddp_accelerator=given
                )
        assert wrapped == [True, False, False]


class TestGradientAccumulation:
    @staticmethod
    def with_scaler(trainer: SpigotTrainer) -> SpigotTrainer:
        """As `use_amp` would make it on a GPU, but without lower precision."""
        trainer._scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        trainer._callbacks.append(AveragedBackward(trainer._serialization_dir))
        return trainer

    def test_a_scaler_changes_no_update(self, tmp_path):
        weights = []
        for name, prepare in (("plain", lambda trainer: trainer), ("scaled", self.with_scaler)):
            torch.manual_seed(0)
            settings = {
                "num_gradient_accumulation_steps": 2,
                "optimizer": {"type": "sgd", "lr": 0.01},  # whose updates a factor of the gradient changes
                "run_confidence_checks": False,
            }
            trainer = prepare(build(tmp_path / name, **settings))
            assert len(trainer.data_loader) == 4
            trainer._train_epoch(0)
            weights.append(trainer.model.state_dict())
        for key, weight in weights[0].items():
            assert torch.allclose(weight, weights[1][key], atol=1e-6), key

    def test_whoever_has_passed_back_is_left_alone(self):
        assert AveragedBackward("").on_backward(None, {}, True) is False

    def test_it_is_there_with_a_scaler(self, monkeypatch):
        def init(trainer, scaler):
            optimizer = SimpleNamespace(param_groups=[])
            vars(trainer).update(
                _scaler=scaler, _callbacks=[], _distributed=False, _serialization_dir="", optimizer=optimizer
            )

        monkeypatch.setattr(GradientDescentTrainer, "__init__", init)
        for scaler, count in ((None, 0), (object(), 1)):
            callbacks = SpigotTrainer(scaler)._callbacks
            assert sum(isinstance(callback, AveragedBackward) for callback in callbacks) == count


class TestNormsOfGroups:
    @staticmethod
    def with_gradients(folder, groups, **trainer):
        """A trainer whose model has gradients at random."""
        trainer = build(folder, optimizer={"type": "adam", "parameter_groups": groups}, **trainer)
        torch.manual_seed(0)
        for parameter in trainer.model.parameters():
            parameter.grad = torch.randn_like(parameter)
        return trainer

    @staticmethod
    def gradient(trainer, prefix=""):
        named = trainer.model.named_parameters()
        return torch.cat([p.grad.flatten() for name, p in named if name.startswith(prefix)])

    def test_each_group_is_clipped_alone(self, tmp_path):
        groups = [[["^encoder"], {"grad_norm": 0.5}], [["^arc_scorer"], {"grad_norm": 1e6}], [["^label_scorer"], {}]]
        trainer = self.with_gradients(tmp_path, groups)
        before = {name: self.gradient(trainer, name) for name in ("encoder", "arc_scorer", "label_scorer", "text", "")}
        assert trainer.rescale_gradients() == pytest.approx(before[""].norm().item(), rel=1e-5)
        torch.testing.assert_close(
            self.gradient(trainer, "encoder"), 0.5 * before["encoder"] / before["encoder"].norm()
        )
        for name in ("arc_scorer", "label_scorer", "text"):
            assert torch.equal(self.gradient(trainer, name), before[name]), name

    def test_groups_without_a_gradient_are_left_out(self, tmp_path, monkeypatch):
        """Their norm would be a zero of the CPU, whatever device the others are on."""
        trainer = self.with_gradients(tmp_path, [[["."], {"grad_norm": 0.5}]])
        clipped = []
        monkeypatch.setattr(
            trainer_module, "clip_grad_norm_", lambda group, norm: clipped.append(group) or torch.ones(())
        )
        assert trainer.rescale_gradients() == 1
        assert len(trainer.optimizer.param_groups) == 2 and len(clipped) == 1
        for parameter in trainer.model.parameters():
            parameter.grad = None
        assert trainer.rescale_gradients() == 0

    def test_parameters_without_gradient_are_no_hindrance(self, tmp_path):
        trainer = self.with_gradients(tmp_path, [[["^encoder"], {"grad_norm": 0.5}]])
        for name, parameter in trainer.model.named_parameters():
            if not name.startswith("arc_scorer"):
                parameter.grad = None
        assert trainer.rescale_gradients() > 0

    def test_a_scaled_gradient_is_clipped_as_if_it_was_not(self, tmp_path):
        trainer = TestGradientAccumulation.with_scaler(
            self.with_gradients(tmp_path, [[["^encoder"], {"grad_norm": 0.5}]])
        )
        trainer._scaler.scale(torch.ones(()))  # which makes the scale
        assert self.gradient(trainer).norm() / trainer.rescale_gradients() == pytest.approx(8, rel=1e-5)
        assert self.gradient(trainer, "encoder").norm().item() == pytest.approx(0.5, rel=1e-4)

    def test_it_trains_and_recovers(self, tmp_path):
        optimizer = {"type": "adamw", "parameter_groups": [[["^encoder"], {"grad_norm": 1e-3}]]}
        train(tmp_path, {"optimizer": optimizer})
        forget_second_epoch(tmp_path)
        train(tmp_path, {"optimizer": optimizer}, recover=True)

    @pytest.mark.parametrize("norm", [0, -1.0, True, "1"])
    def test_a_norm_that_is_not_positive_is_refused(self, tmp_path, norm):
        with pytest.raises(ConfigurationError, match="grad_norm of a parameter group to be positive, found"):
            self.with_gradients(tmp_path, [[["^encoder"], {"grad_norm": norm}]])

    def test_two_kinds_of_norm_are_refused(self, tmp_path):
        with pytest.raises(ConfigurationError, match="a grad_norm of the trainer or of parameter groups, found both"):
            self.with_gradients(tmp_path, [[["^encoder"], {"grad_norm": 1.0}]], grad_norm=1.0)


def test_an_error_while_training_says_so(tmp_path, monkeypatch):
    def fail(trainer, epoch):
        raise ZeroDivisionError

    monkeypatch.setattr(SpigotTrainer, "_train_epoch", fail)
    with pytest.raises(ZeroDivisionError) as caught:
        train(tmp_path / "output")
    assert caught.value.while_training
    with pytest.raises(ConfigurationError) as caught:
        train(tmp_path / "output")  # which is not empty
    assert not hasattr(caught.value, "while_training")


@pytest.mark.parametrize("lr, expected", [(-1, "AdamOptimizer: Invalid learning rate: -1"), ("a", None)])
def test_what_the_optimizer_refuses_has_its_name(tmp_path, lr, expected):
    with pytest.raises((ValueError, TypeError)) as caught:
        build(tmp_path, optimizer={"lr": lr})
    assert getattr(caught.value, "explanation", None) == expected


def test_test_data_is_refused_before_a_distributed_training(tmp_path, monkeypatch):
    def init(trainer, folder):
        optimizer = SimpleNamespace(param_groups=[])
        vars(trainer).update(
            _scaler=None, _callbacks=[], _distributed=True, _serialization_dir=folder, optimizer=optimizer
        )

    monkeypatch.setattr(GradientDescentTrainer, "__init__", init)
    SpigotTrainer(tmp_path)  # where there is no config
    for evaluates in (False, True):
        (tmp_path / CONFIG_NAME).write_text(json.dumps({"evaluate_on_test": evaluates}))
        if not evaluates:
            SpigotTrainer(tmp_path)
    with pytest.raises(ConfigurationError, match="run `allennlp evaluate` on the archive"):
        SpigotTrainer(tmp_path)
