import json
import logging
import sys

import pytest
from allennlp.commands.train import train_model
from allennlp.common.checks import ConfigurationError
from allennlp.training import TrainerCallback

pytest.importorskip("optuna", reason="needs the extra `tune`")
from spigot_allennlp.models import SyntacticThenSemantic
from spigot_allennlp.tuning.config import TunedConfig
from spigot_allennlp.tuning.training import check_trainable, describe, train
from tests import FIXTURES_ROOT

CONFIG = TunedConfig(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet")


def without_clock(metrics):
    return {name: value for name, value in metrics.items() if "duration" not in name and "memory" not in name}


def test_a_training_after_another_is_as_if_alone_and_as_that_of_the_framework(tmp_path):
    train_model(CONFIG.resolve({}), tmp_path / "framework")
    train(CONFIG.resolve({"hidden_dim": 6, "trainer.optimizer.lr": 0.01}), tmp_path / "other", TrainerCallback(""))
    metrics = train(CONFIG.resolve({}), tmp_path / "after", TrainerCallback(""))
    written = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("framework", "after")]
    assert without_clock(written[0]) == without_clock(written[1]) == without_clock(metrics)
    for name in ("framework", "after"):
        assert (tmp_path / name / "config.json").read_bytes() == (tmp_path / "framework" / "config.json").read_bytes()
    files = [{path.name for path in (tmp_path / name).iterdir()} for name in ("framework", "after")]
    assert files[0] == files[1]


def test_logging_is_left_as_it_was_and_nothing_is_printed(tmp_path, capfd):
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("tqdm").handlers[:], sys.excepthook
    with pytest.raises(RuntimeError, match="stop"):
        train(CONFIG.resolve({}), tmp_path / "output", Stop(""))
    assert (root.handlers, root.level, logging.getLogger("tqdm").handlers, sys.excepthook) == before
    log = (tmp_path / "output" / "out.log").read_text()
    assert "Beginning training." in log and "RuntimeError: stop" in log
    logging.getLogger("later").error("not for that log")
    assert (tmp_path / "output" / "out.log").read_text() == log
    assert capfd.readouterr() == ("", "")


class Stop(TrainerCallback):
    def on_epoch(self, trainer, metrics, epoch, is_primary=True, **kwargs):
        raise RuntimeError("stop")


class TestCheck:
    @pytest.mark.parametrize("metric", ["loss", "labelled_without_tops_f1"])
    def test_a_metric_that_is_reported(self, metric):
        check_trainable(CONFIG.resolve({}), metric)

    def test_one_that_is_not(self):
        with pytest.raises(ConfigurationError, match=r"does not report f1, but .*labelled_f1, .*loss, "):
            check_trainable(CONFIG.resolve({}), "f1")

    @pytest.mark.parametrize(
        "settings, message",
        [
            ({"train_data_path": "nowhere.sdp"}, "the config cannot be trained: .*nowhere.sdp"),
            ({"trainer.optimizer.type": "adm"}, "the config cannot be trained: .*adm"),
            ({"model.semantic_parser.encoder.input_size": 99}, "the config cannot be trained: .*99"),
        ],
    )
    def test_a_config_that_cannot_be_trained(self, settings, message):
        with pytest.raises(ConfigurationError, match=message):
            check_trainable(CONFIG.resolve(settings), "loss")

    def test_an_error_of_the_code_stays_what_it_is(self, monkeypatch):
        def forward(self, **tensors):
            raise KeyError("k")

        monkeypatch.setattr(SyntacticThenSemantic, "forward", forward)
        with pytest.raises(KeyError, match="k"):
            check_trainable(CONFIG.resolve({}), "loss")


def test_an_error_is_described_in_one_line():
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(ConfigurationError("a\n  b")) == "a b"
