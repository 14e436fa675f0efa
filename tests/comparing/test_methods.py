import json

import pytest
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.comparing.methods import read_methods
from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.surrogates import StructuredArgmax
from tests import FIXTURES_ROOT
from tests.test_training_configs import ROOT, set_environment

METHODS = ("spigot", "straight_through", "structured_attention", "pipeline")
FAMILIES = (
    "syntactic_then_semantic/",
    "syntactic_then_semantic/ewt_",
    "semantic_then_sentiment/",
    "latent_tree_classifier/",
    "latent_tree_classifier/listops_",
)
TOY = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    set_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("SPIGOT_PARSER", "parser.tar.gz")
    monkeypatch.setenv("SPIGOT_TREE_PARSER", "trees.tar.gz")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_name_makes_a_config_the_one_that_has_this_method(family):
    shipped = {name: Params.from_file(ROOT / f"{family}{name}.jsonnet").as_dict() for name in METHODS}
    for own in METHODS:
        configs = read_methods(",".join(METHODS), ROOT / f"{family}{own}.jsonnet")
        for name in METHODS:
            assert configs[name].base == shipped[name], f"{own} with {name}"


@pytest.mark.parametrize(
    "name, kept",
    [
        ("syntactic_then_semantic/demo.jsonnet", {"structure"}),
        ("syntactic_then_semantic/few_trees.jsonnet", {"structure", "warm_up"}),
        ("semantic_then_sentiment/demo.jsonnet", {"structure"}),
        ("latent_tree_classifier/demo.jsonnet", {"structure"}),
    ],
)
def test_the_structure_the_warm_up_and_all_else_stay(name, kept):
    configs = read_methods("pipeline,spigot", ROOT / name)
    before = Params.from_file(ROOT / name).as_dict()
    assert configs["spigot"].base == before
    after = configs["pipeline"].base
    own = before["model"].pop("intermediate")
    assert after["model"].pop("intermediate") == {"type": "pipeline"} | {key: own[key] for key in kept}
    assert after == before


def test_what_a_config_says_of_its_own_method_stays(tmp_path):
    config = tmp_path / "config.jsonnet"
    config.write_text(f"(import '{TOY}') + {{ model+: {{ intermediate+: {{ polytope: 'exact', step_size: 3 }} }} }}")
    configs = read_methods("spigot,spigot_ce", config)
    own, other = (configs[name].base["model"]["intermediate"] for name in ("spigot", "spigot_ce"))
    assert (own["polytope"], own["step_size"]) == ("exact", 3)
    assert (other["polytope"], other["step_size"]) == ("local", 1.0)


def test_a_hidden_field_of_the_config_reaches_every_method_that_has_such_an_option(tmp_path):
    config = tmp_path / "config.jsonnet"
    config.write_text(f"(import '{TOY}') + {{ step_size:: 0.25 }}")
    configs = read_methods("straight_through,pipeline", config)
    assert configs["straight_through"].base["model"]["intermediate"]["step_size"] == 0.25
    assert "step_size" not in configs["pipeline"].base["model"]["intermediate"]


def test_every_method_has_a_name_and_can_be_built():
    names = set(StructuredArgmax.list_available()) - {"perturb_and_map"}  # which is around another one
    for name, config in read_methods(",".join(sorted(names)), TOY).items():
        layer = StructuredArgmax.from_params(Params(config.base["model"]["intermediate"]))
        assert type(layer) is StructuredArgmax.by_name(name)


def test_a_file_is_laid_over_the_config(tmp_path):
    part = tmp_path / "part.libsonnet"
    part.write_text("{ hidden_dim:: 9, model+: { intermediate+: { step_size: 0.5 } } }")
    configs = read_methods(f"spigot, half={part}", TOY, '{"trainer.num_epochs": 2}')
    before, after = (configs[name].base for name in ("spigot", "half"))
    assert after["model"]["intermediate"] == before["model"]["intermediate"] | {"step_size": 0.5}
    assert after["model"]["syntactic_parser"]["encoder"]["hidden_size"] == 9
    assert after["trainer"]["num_epochs"] == before["trainer"]["num_epochs"] == 2


def test_a_whole_config_stands_in_its_place():
    other = FIXTURES_ROOT / "semantic_parser.jsonnet"
    configs = read_methods(f"spigot,gold={other}", TOY, '{"trainer.num_epochs": 2}')
    expected = Params.from_file(other, json.dumps({"trainer.num_epochs": 2})).as_dict()
    assert configs["gold"].base == expected


def test_a_library_of_your_own_beside_the_config(tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "methods.libsonnet").write_text("{ a: {}, b: { trainer+: { num_epochs: 7 } } }")
    (tmp_path / "configs").mkdir()
    config = tmp_path / "configs" / "config.jsonnet"
    config.write_text(f"import '{TOY}'")
    configs = read_methods("a,b", config)
    assert [configs[name].base["trainer"]["num_epochs"] for name in "ab"] == [1, 7]


@pytest.mark.parametrize(
    "methods, config, message",
    [
        ("spigot", TOY, "expected two methods or more, found spigot"),
        ("spigot,spigot", TOY, "expected methods of different names, found spigot twice"),
        ("spigot,spigt", TOY, "one of adaptive_imle, blackbox, identity, .*, or name=file, found spigt"),
        ("spigot,", TOY, "expected a method, or name=file, found ''"),
        ("spigot,../x=y", TOY, "expected a method, or name=file, found '../x=y'"),
        ("spigot,x=nowhere.libsonnet", TOY, "expected a file for the method x, found nowhere.libsonnet"),
        ("spigot,pipeline", FIXTURES_ROOT / "semantic_parser.jsonnet", "expected a config with model.intermediate"),
    ],
)
def test_errors(methods, config, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_methods(methods, config)
    assert "\n" not in explain(caught.value)
