"""Checks the shapes in annotations while tests run."""

import inspect
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, get_args

from beartype import beartype
from jaxtyping import jaxtyped

ROOMS = ("nn", "structures", "surrogates")


def check_while_importing() -> None:
    """To be called before these rooms are imported. Kernels are left out: numba compiles what it sees."""
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = name.rpartition(".")
        if package not in {f"spigot_allennlp.{room}" for room in ROOMS} or module == "kernels":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """
    Wraps a module's functions and its classes' methods before anybody has them. jaxtyping's own hook would wrap those
    inside of functions, too, each time that they are made, which doubles the time that tests of surrogates take.
    """

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
        for holder in (module, *filter(inspect.isclass, own)):
            for name, value in list(vars(holder).items()):
                function = getattr(value, "__func__", value)
                if inspect.isfunction(function) and function.__module__ == module.__name__ and _has_shapes(function):
                    checked = jaxtyped(function, typechecker=_check)
                    setattr(holder, name, checked if function is value else type(value)(checked))


def _check(function: Any) -> Any:
    """`beartype`, of shapes alone: what else is wrong is told by the package itself."""
    function.__annotations__ = {name: a for name, a in function.__annotations__.items() if _is_shape(a)}
    return beartype(function)


def _has_shapes(function: Any) -> bool:
    return any(map(_is_shape, function.__annotations__.values()))


def _is_shape(annotation: Any) -> bool:
    return getattr(annotation, "__module__", "") == "jaxtyping" or any(map(_is_shape, get_args(annotation)))
