import pytest
from allennlp.common.checks import ConfigurationError

pytest.importorskip("optuna", reason="needs the extra `tune`")
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from spigot_allennlp.tuning._search_space import SearchSpace

FLOAT = {"type": "float", "low": 1e-4, "high": 1, "log": True}


def test_each_type_is_a_distribution():
    space = SearchSpace(
        {
            "a": FLOAT,
            "b": {"type": "int", "low": 2, "high": 6, "step": 2},
            "c": {"type": "categorical", "choices": ["x", None, 0.5, {"type": "y"}, [1]]},
            "d": {"type": "float", "low": 0, "high": 1, "step": None},
        }
    )
    assert space.distributions == {
        "a": FloatDistribution(1e-4, 1, log=True),
        "b": IntDistribution(2, 6, step=2),
        "c": CategoricalDistribution(["x", "null", 0.5, '{"type": "y"}', "[1]"]),
        "d": FloatDistribution(0, 1),
    }


def test_objects_lists_and_null_are_stored_as_json_and_strings_as_they_are():
    space = SearchSpace({"a": FLOAT, "b": {"type": "categorical", "choices": ["[2]", {"type": "y"}, [1], None]}})
    for drawn, value in [("[2]", "[2]"), ("null", None), ('{"type": "y"}', {"type": "y"}), ("[1]", [1])]:
        assert space.values({"a": 0.5, "b": drawn}) == {"a": 0.5, "b": value}


def test_a_jsonnet_file(tmp_path):
    (tmp_path / "space.libsonnet").write_text("local low = 2; { a: { type: 'int', low: low, high: 2 * low } }")
    assert SearchSpace.from_file(tmp_path / "space.libsonnet").distributions == {"a": IntDistribution(2, 4)}


def test_a_broken_file(tmp_path):
    (tmp_path / "space.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"space\.json: .*unexpected"):
        SearchSpace.from_file(tmp_path / "space.json")


@pytest.mark.parametrize("description", [{}, [], [FLOAT]])
def test_no_settings(description):
    with pytest.raises(ConfigurationError, match="an object with at least one setting"):
        SearchSpace(description)


@pytest.mark.parametrize(
    "given, message",
    [
        (3, "whose type is float, int or categorical, found 3"),
        ({"low": 1, "high": 2}, "whose type is float, int or categorical, found {"),
        ({"type": "normal", "low": 1, "high": 2}, 'found {"type": "normal"'),
        ({"type": "float", "low": 1}, "expected low and high"),
        ({"type": "float", "low": 1, "hihg": 2}, "expected low and high"),
        ({"type": "float", "low": 1, "high": 2, "base": 2}, "optionally log and step, found"),
        ({"type": "float", "low": "1e-3", "high": 1}, "not all numbers"),
        ({"type": "float", "low": True, "high": 2}, "not all numbers"),
        ({"type": "int", "low": 1, "high": 2.5}, "not all integers"),
        ({"type": "int", "low": None, "high": 2}, "not all integers"),
        ({"type": "float", "low": 1, "high": 2, "log": 1}, "log is neither true nor false"),
        ({"type": "float", "low": 2, "high": 1}, "`low <= high` must hold"),
        ({"type": "float", "low": 0, "high": 1, "log": True}, "`low > 0` must hold"),
        ({"type": "int", "low": 0, "high": 1, "step": 0}, "`step > 0` must hold"),
        ({"type": "categorical", "choices": []}, "expected choices, a list"),
        ({"type": "categorical", "choices": "ab"}, "expected choices, a list"),
        ({"type": "categorical", "choices": [1], "low": 1}, "expected choices, a list"),
        ({"type": "categorical", "choices": [{"a": 1}, {"a": 1}]}, "expected different choices"),
    ],
)
def test_what_is_no_distribution(given, message):
    with pytest.raises(ConfigurationError) as caught:
        SearchSpace({"good": FLOAT, "bad": given})
    assert str(caught.value).startswith("the search space of 'bad': ") and message in str(caught.value)
