import json

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

pytest.importorskip("optuna", reason="needs the extra `tune`")
from spigot_allennlp.tuning.config import Metric, TunedConfig
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"


class TestResolve:
    def test_no_settings(self):
        assert TunedConfig(TOY).resolve({}).as_dict() == Params.from_file(TOY).as_dict()

    def test_a_dotted_name_is_an_override(self):
        settings = {"trainer.optimizer.lr": 0.5, "model.intermediate": {"type": "pipeline"}, "trainer.num_epochs": 7}
        expected = Params.from_file(TOY, settings)
        assert TunedConfig(TOY).resolve(settings).as_dict() == expected.as_dict()

    def test_a_hidden_field_reaches_all_that_is_built_from_it(self):
        scorer = {"type": "biaffine"}
        params = TunedConfig(TOY).resolve({"hidden_dim": 9, "scorer": scorer})
        assert not {"hidden_dim", "scorer"} & set(params)
        for stage in "syntactic_parser", "semantic_parser":
            assert params["model"][stage]["encoder"]["hidden_size"] == 9
            assert params["model"][stage]["arc_scorer"].as_dict() == scorer

    def test_settings_go_before_overrides(self):
        config = TunedConfig(TOY, '{"trainer": {"num_epochs": 3, "optimizer": "sgd", "validation_metric": "-loss"}}')
        params = config.resolve({"trainer.num_epochs": 4})
        assert params["trainer"].as_dict() == {"num_epochs": 4, "optimizer": "sgd", "validation_metric": "-loss"}

    def test_environment_variables(self, tmp_path, monkeypatch):
        (tmp_path / "config.jsonnet").write_text(f"(import '{TOY}') + {{ train_data_path: std.extVar('DATA') }}")
        monkeypatch.setenv("DATA", "somewhere")
        assert TunedConfig(tmp_path / "config.jsonnet").base["train_data_path"] == "somewhere"


class TestMetric:
    @pytest.mark.parametrize(
        "overrides, metric, expected",
        [
            ("", None, Metric("labelled_f1", maximise=True)),
            ("", "-loss", Metric("loss", maximise=False)),
            ('{"trainer": {}}', None, Metric("loss", maximise=False)),  # the trainer's default
        ],
    )
    def test_metric(self, overrides, metric, expected):
        assert TunedConfig(TOY, overrides, metric).metric == expected

    def test_epochs_are_compared_by_it_too(self):
        assert TunedConfig(TOY, metric="-loss").resolve({})["trainer"]["validation_metric"] == "-loss"

    @pytest.mark.parametrize("metric", ["loss", ["+labelled_f1", "-loss"], ""])
    def test_no_metric(self, metric):
        overrides = json.dumps({"trainer.validation_metric": metric})
        with pytest.raises(ConfigurationError, match="expected a metric with"):
            TunedConfig(TOY, overrides)


class TestCheck:
    @pytest.mark.parametrize("name", ["hidden_dim", "trainer.optimizer.lr", "model", "datasets_for_vocab_creation.0"])
    def test_what_the_config_has(self, name):
        TunedConfig(TOY).check([name])

    @pytest.mark.parametrize("name", ["hiden_dim", "trainer.optimizer.lrr", "a.b", "datasets_for_vocab_creation.1"])
    def test_what_it_has_not(self, name):
        with pytest.raises(ConfigurationError, match=f"the config has no '{name}'"):
            TunedConfig(TOY).check(["hidden_dim", name])

    def test_a_part_and_the_whole(self):
        with pytest.raises(ConfigurationError, match=r"'trainer\.optimizer\.lr' is a part of 'trainer\.optimizer'"):
            TunedConfig(TOY).check(["trainer.optimizer.lr", "hidden_dim", "trainer.optimizer"])


class TestNoConfig:
    @pytest.mark.parametrize(
        "content, message",
        [
            ("{", r"config\.jsonnet: .*unexpected"),
            ("{ a: std.extVar('NOT_SET') }", "expected the environment variable NOT_SET to be set"),
            ("{ trainer: {} }", "no validation_data_path, so no loss"),
            ("{ validation_data_path: 'a', trainer: {}, distributed: {} }", "expected a config without `distributed`"),
        ],
    )
    def test_content(self, tmp_path, content, message):
        (tmp_path / "config.jsonnet").write_text(content)
        with pytest.raises(ConfigurationError, match=message):
            TunedConfig(tmp_path / "config.jsonnet")

    def test_overrides(self):
        with pytest.raises(ConfigurationError, match="unused keys"):
            TunedConfig(TOY, '{"trainr.lr": 1}')

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            TunedConfig(tmp_path / "nowhere.jsonnet")
