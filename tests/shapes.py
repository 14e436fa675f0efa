"""Checks the shapes in annotations while tests run."""

from pathlib import Path
from typing import Any, get_args

from beartype import beartype
from jaxtyping import install_import_hook

import spigot_allennlp

ROOMS = ("nn", "structures", "surrogates")


def check_while_importing() -> None:
    """To be called before these rooms are imported. Kernels are left out: numba compiles what it sees."""
    root = Path(spigot_allennlp.__file__).parent
    modules = [f"spigot_allennlp.{room}.{file.stem}" for room in ROOMS for file in (root / room).glob("[!_]*.py")]
    install_import_hook(modules, f"{__name__}.check")


def check(function: Any) -> Any:
    """`beartype`, of shapes alone: what else is wrong is told by the package itself."""
    function.__annotations__ = {name: a for name, a in function.__annotations__.items() if _has_shape(a)}
    return beartype(function)


def _has_shape(annotation: Any) -> bool:
    return getattr(annotation, "__module__", "") == "jaxtyping" or any(map(_has_shape, get_args(annotation)))
