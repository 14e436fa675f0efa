from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from allennlp.common.util import JsonDict
from fastapi import FastAPI


def paths_of_others(number: int) -> list[str]:
    """Where the applications of all archives but the first are, below the address of the first."""
    return [f"archives/{index}/" for index in range(2, number + 1)]


def join_apps(apps: Sequence[FastAPI]) -> FastAPI:
    """
    One application of several, each with a model of its own: the first, with the others below it. They start and end
    together.
    """
    first, *others = apps
    for path, other in zip(paths_of_others(len(apps)), others, strict=True):
        first.mount(f"/{path.rstrip('/')}", other)
    lifespan = first.router.lifespan_context

    @asynccontextmanager
    async def together(app: FastAPI) -> AsyncIterator[Any]:
        async with AsyncExitStack() as stack:
            for other in others:
                await stack.enter_async_context(other.router.lifespan_context(other))
            yield await stack.enter_async_context(lifespan(app))

    first.router.lifespan_context = together
    return first


def name_others(descriptions: Sequence[JsonDict]) -> list[JsonDict]:
    """The descriptions of archives that are served together, of which the first says where the `others` are."""
    first, *others = descriptions
    return [{**first, "others": paths_of_others(len(descriptions))}, *others]
