"""The settings that a sweep varies, and the distributions that their values are drawn from."""

import json
from os import PathLike
from typing import Any

from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spigot_allennlp.framework.bad_input import explain


class SearchSpace:
    """
    Distributions of settings.

    # Parameters

    description : `dict[str, Any]`
        For each setting, named as in `--overrides` or by the name of a hidden field, one of

        - `{"type": "float", "low": …, "high": …, "log": …, "step": …}`
        - `{"type": "int", "low": …, "high": …, "log": …, "step": …}`
        - `{"type": "categorical", "choices": […]}`, where a choice is any JSON

        `high` is included; `log` (`false`: on a linear scale) and `step` (`null`, for `int` 1) are optional.

    # Raises

    `ConfigurationError`, if there is no setting, or one is not as above.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        if not isinstance(description, dict) or not description:
            raise ConfigurationError("a search space must be an object with at least one setting")
        self.description = description
        self.distributions: dict[str, BaseDistribution] = {}
        self._choices: dict[str, dict[Any, Any]] = {}
        for name, given in description.items():
            try:
                self._add(name, given)
            except (TypeError, ValueError) as error:
                raise ConfigurationError(f"the search space of '{name}': {error}") from error

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> "SearchSpace":
        """The search space that a JSON or Jsonnet file describes."""
        try:
            description = Params.from_file(path).as_dict(quiet=True)
        except RuntimeError as error:  # of Jsonnet
            raise ConfigurationError(f"{path}: {explain(error) or error}") from None
        return cls(description)

    def values(self, settings: dict[str, Any]) -> dict[str, Any]:
        """What the config gets for settings as they are drawn, where objects, lists and null are JSON."""
        return {
            name: self._choices[name][value] if name in self._choices else value for name, value in settings.items()
        }

    def _add(self, name: str, given: Any) -> None:
        if not isinstance(given, dict) or given.get("type") not in ("float", "int", "categorical"):
            raise ValueError(f"expected an object whose type is float, int or categorical, found {json.dumps(given)}")
        arguments = {key: value for key, value in given.items() if key != "type"}
        if given["type"] == "categorical":
            choices = _check_choices(arguments)
            self._choices[name] = choices
            self.distributions[name] = CategoricalDistribution(list(choices))
        else:
            distribution = IntDistribution if given["type"] == "int" else FloatDistribution
            self.distributions[name] = distribution(**_check_range(arguments, integer=given["type"] == "int"))


def _check_choices(arguments: dict[str, Any]) -> dict[Any, Any]:
    choices = arguments.get("choices")
    if arguments.keys() != {"choices"} or not isinstance(choices, list) or not choices:
        raise ValueError(f"expected choices, a list, found {json.dumps(arguments)}")
    # A study stores scalars, and a table shows null as nothing.
    labelled = {value if isinstance(value, (str, int, float)) else json.dumps(value): value for value in choices}
    if len(labelled) != len(choices):
        raise ValueError(f"expected different choices, found {json.dumps(choices)}")
    return labelled


def _check_range(arguments: dict[str, Any], integer: bool) -> dict[str, Any]:
    expected = f"expected low and high, and optionally log and step, found {json.dumps(arguments)}"
    if not {"low", "high"} <= arguments.keys() <= {"low", "high", "log", "step"}:
        raise ValueError(expected)
    numbers = [value for key, value in arguments.items() if key != "log" and (key, value) != ("step", None)]
    if not all(type(number) is int or (type(number) is float and not integer) for number in numbers):
        raise ValueError(expected + f", which are not all {'integers' if integer else 'numbers'}")
    if not isinstance(arguments.get("log", False), bool):
        raise ValueError(expected + ", where log is neither true nor false")
    return {key: value for key, value in arguments.items() if value is not None}
