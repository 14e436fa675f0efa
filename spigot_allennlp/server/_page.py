"""The page to try a model, and what it asks for beside predictions: pictures, and sentences in other formats."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, Optional, TypeVar

from allennlp.common.util import JsonDict
from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from spigot_allennlp.data.conversion import FORMATS, READERS, Conversion, recognize
from spigot_allennlp.drawing import Side, draw, tree_side
from spigot_allennlp.drawing.error_page import STATIC
from spigot_allennlp.drawing.kinds import DIFFERENCES, Meanings
from spigot_allennlp.server._body import read_body
from spigot_allennlp.server.limits import Limits, QueryError, check_limit
from spigot_allennlp.server.request_queue import QueueFullError

_STATIC = Path(__file__).parent / "static"
_POLICY = "default-src 'self'; img-src 'self' data: blob:"
_MAX_ARCS = 1000

Result = TypeVar("Result")
_Label = Annotated[str, StringConstraints(max_length=100)]
_Arc = tuple[int, int, _Label]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Tree(_Strict):
    """The parameters of [`tree_side`](../drawing/side.md#tree_side)."""

    heads: list[int]
    head_tags: Optional[list[_Label]] = None
    gold_heads: Optional[list[int]] = None
    gold_tags: Optional[list[_Label]] = None
    weights: Optional[list[float]] = None
    possible: list[_Arc] = []
    possible_weights: Optional[list[float]] = None
    hides_missed: bool = False

    def side(self) -> Side:
        side = tree_side(self.heads, self.head_tags, self.gold_heads, self.gold_tags, self.weights)
        more = {"possible": self.possible, "possible_weights": self.possible_weights}
        return Side(**{**vars(side), **more, "hides_missed": self.hides_missed})

    def num_arcs(self) -> int:
        return len(self.heads) + len(self.gold_heads or ()) + len(self.possible)


class _Graph(_Strict):
    """The parameters of [`Side`](../drawing/side.md#side)."""

    arcs: list[_Arc]
    marked: list[int] = []
    mark: _Label = "top"
    gold_arcs: Optional[list[_Arc]] = None
    gold_marked: Optional[list[int]] = None
    weights: Optional[list[float]] = None
    possible: list[_Arc] = []
    possible_weights: Optional[list[float]] = None
    hides_missed: bool = False

    def side(self) -> Side:
        return Side(**dict(self))

    def num_arcs(self) -> int:
        return len(self.arcs) + len(self.gold_arcs or ()) + len(self.possible)


class _Drawing(_Strict):
    """The parameters of [`draw`](../drawing/arcs.md#draw)."""

    tokens: list[str]
    above: Optional[_Tree | _Graph] = None
    below: Optional[_Tree | _Graph] = None
    tags: Optional[list[_Label]] = None
    emphasis: Optional[list[Annotated[float, Field(ge=0, le=1)]]] = None
    meanings: tuple[_Label, _Label, _Label] = DIFFERENCES
    max_width: Annotated[Optional[float], Field(ge=200, le=10_000)] = None

    def draw(self, limits: Limits) -> str:
        sides = [side for side in (self.above, self.below) if side is not None]
        check_limit("tokens in a sentence", len(self.tokens), limits.max_tokens_per_sentence)
        check_limit("characters in a word", max(map(len, self.tokens), default=0), limits.max_characters_per_word)
        check_limit("arcs in a picture", sum(side.num_arcs() for side in sides), _MAX_ARCS)
        above, below = (side and side.side() for side in (self.above, self.below))
        meanings: Meanings = self.meanings
        return draw(self.tokens, above, below, self.tags, self.emphasis, meanings, self.max_width)


def add_page(app: FastAPI, limits: Limits, description: JsonDict) -> None:
    """
    Adds the page at `/`, and its addresses.

    # Parameters

    app : `FastAPI`
    limits : `Limits`
    description : `JsonDict`
        What `/model` answers, see [`describe`](./description.md#describe).
    """
    router = APIRouter(include_in_schema=False)
    # More threads would not draw faster, but each would take turns with the one that answers.
    one_thread = CapacityLimiter(1)
    num_pending = 0

    async def work(request: Request, function: Callable[[bytes], Result]) -> Result:
        """What a function makes of the body."""
        nonlocal num_pending
        try:
            # Not `wait_for`, which would let the next one begin while the thread goes on.
            with fail_after(limits.timeout):
                body = await read_body(request, limits.max_body_bytes)
                if num_pending > limits.max_pending:  # one is worked on
                    raise QueueFullError
                num_pending += 1
                try:
                    return await to_thread.run_sync(function, body, limiter=one_thread)
                finally:
                    num_pending -= 1
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise QueryError(f"{where}: {fault['msg']}" if where else fault["msg"]) from error
        except ValueError as error:
            raise QueryError(str(error)) from error

    @router.get("/")
    async def page() -> Response:
        return FileResponse(_STATIC / "index.html", headers={"Content-Security-Policy": _POLICY})

    @router.get("/model")
    async def model() -> JsonDict:
        return description

    @router.post("/draw")
    async def draw_picture(request: Request) -> Response:
        """A picture of what is sent."""
        svg = await work(request, lambda body: _Drawing.model_validate_json(body).draw(limits))
        return Response(svg.encode("utf-8", "replace"), media_type="image/svg+xml")

    @router.post("/convert")
    async def convert(request: Request, to: Literal[FORMATS], source: Optional[Literal[READERS]] = None) -> Response:
        """Sentences in another format: `source`, or the one that they seem to have."""
        text = await work(request, lambda body: _convert(body, source, to))
        return Response(text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")

    app.include_router(router)
    app.mount("/static/pictures", StaticFiles(directory=STATIC))
    app.mount("/static", StaticFiles(directory=_STATIC))


def _convert(body: bytes, source: Optional[str], to: str) -> str:
    conversion = Conversion(source or recognize(body), to)
    return "".join(conversion.convert(BytesIO(body), "the text"))
