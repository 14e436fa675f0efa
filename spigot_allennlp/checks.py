import math

from allennlp.common.checks import ConfigurationError


def positive(key: str, value: float) -> float:
    """`value`, or a `ConfigurationError` that names the key."""
    if value is None or not 0 < value < math.inf:
        raise ConfigurationError(f"{key} must be a positive number, but is {value}")
    return value


def not_negative(key: str, value: float) -> float:
    """`value`, or a `ConfigurationError` that names the key."""
    if not 0 <= value < math.inf:
        raise ConfigurationError(f"{key} must be a number that is not negative, but is {value}")
    return value


def fraction(key: str, value: float) -> float:
    """`value`, or a `ConfigurationError` that names the key."""
    if not 0 <= value < 1:
        raise ConfigurationError(f"{key} must be a number from 0 to below 1, but is {value}")
    return value


def whole(key: str, value: int, at_least: int = 1) -> int:
    """`value`, or a `ConfigurationError` that names the key."""
    if not isinstance(value, int) or value < at_least:
        raise ConfigurationError(f"{key} must be a whole number of at least {at_least}, but is {value}")
    return value
