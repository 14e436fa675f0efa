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
