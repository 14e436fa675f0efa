import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Optional

from allennlp.common.util import JsonDict
from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as StarletteHTTPException

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.server._access_log import AccessLog, error_response
from spigot_allennlp.server._page import add_page
from spigot_allennlp.server.body import read_body
from spigot_allennlp.server.limits import Limits
from spigot_allennlp.server.micro_batcher import MicroBatcher, QueueFullError, SentenceModel
from spigot_allennlp.server.query import NoTaggerError, Query, QueryError, add_pictures, num_tokens

logger = logging.getLogger(__name__)

_EXAMPLES: dict[str, JsonDict] = {
    "sentence": {"sentence": "Anna wants to sing."},
    "text": {"text": "Anna wants to sing. She can."},
    "tokens": {
        "tokens": ["Anna", "wants", "to", "sing"],
        "tags": ["NNP", "VBZ", "TO", "VB"],
        "lemmas": ["Anna", "want", "to", "sing"],
    },
}


class Error(BaseModel):
    """The body of every answer that is not 200."""

    error: str
    request_id: str


_ERRORS: dict[int | str, dict[str, Any]] = {
    413: {"model": Error, "description": "The body is too large"},
    422: {"model": Error, "description": "The body is no JSON of the form that is expected, or holds too much"},
    500: {"model": Error, "description": "The server failed; its log has the request's id"},
    501: {"model": Error, "description": "The server has no tagger for raw text installed"},
    503: {
        "model": Error,
        "description": "Too many requests are pending; Retry-After says when to come back",
    },
    504: {"model": Error, "description": "The answer took too long"},
}


def create_app(
    models: Sequence[SentenceModel], limits: Limits = Limits(), description: Optional[JsonDict] = None
) -> FastAPI:
    """
    The web application around a model: `/predict` and `/predict_batch`, a page to try them at `/`, `/health`,
    `/metrics` for Prometheus, and the interface's description at `/docs` and `/openapi.json`. Nothing that it serves
    loads anything from elsewhere.

    # Parameters

    models : `Sequence[SentenceModel]`
        Copies of the model, of which each predicts a batch of its own. A
        [`SentencePredictor`](../predictors/sentence.md) is one; a [`ModelProcess`](./model_process.md) is one that
        leaves this process free to answer.
    limits : `Limits`, optional
    description : `JsonDict`, optional (default = `None`)
        What the page says of the model, see [`describe`](./description.md#describe).
    """
    registry = CollectorRegistry()
    batch_sizes = Histogram(
        "spigot_batch_sentences", "Sentences predicted together", buckets=[2**i for i in range(9)], registry=registry
    )
    pending = Gauge("spigot_requests_pending", "Requests that wait for the model or are worked on", registry=registry)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await asyncio.gather(*(run_in_threadpool(_warm_up, model, limits) for model in models))
        app.state.batcher = MicroBatcher(
            models, num_tokens, limits.max_batch_tokens, limits.max_pending, batch_sizes.observe
        )
        pending.set_function(lambda: app.state.batcher.num_pending)
        # More threads would not draw faster, but each would take turns with the one that answers.
        app.state.drawing = CapacityLimiter(1)
        try:
            # What is there now stays. To look through it for garbage would stop everything for a third of a second.
            gc.collect()
            gc.freeze()
            yield
        finally:
            await run_in_threadpool(app.state.batcher.close)
            gc.unfreeze()

    app = FastAPIOffline(
        title="spigot_allennlp",
        description="Parses sentences.",
        redoc_url=None,
        openapi_url="/openapi.json",
        lifespan=lifespan,
    )
    app.add_middleware(AccessLog, registry=registry)
    _handle_errors(app)

    async def answer(request: Request, pictures: bool, is_batch: bool) -> Response:
        content = await _read_json(request, limits)
        if is_batch and not isinstance(content, list):
            raise QueryError(f"expected a JSON list, found {type(content).__name__}")
        query = Query(content if is_batch else [content], limits)
        try:
            outputs = await asyncio.wrap_future(app.state.batcher.submit(query.read))
        except FormatError as error:
            raise query.fault(error) from error
        answers = query.answer(outputs)
        if pictures:
            answers = await to_thread.run_sync(
                lambda: [add_pictures(answer) for answer in answers], limiter=app.state.drawing
            )
        return JSONResponse(answers if is_batch else answers[0])

    @app.post("/predict", responses=_ERRORS, openapi_extra=_body({"type": "object"}, _EXAMPLES))
    async def predict(request: Request, pictures: bool = False) -> Response:
        """
        Predicts on one object: `sentence`, raw text that is one sentence; `text`, raw text that is split and answered
        with a list of `sentences`; or `tokens`, with or without their `tags` and `lemmas`. With `pictures=true`, each
        sentence of the answer also has its tree and graph as SVG.
        """
        return await asyncio.wait_for(answer(request, pictures, is_batch=False), limits.timeout)

    batch = {"batch": [_EXAMPLES["sentence"], _EXAMPLES["tokens"]]}
    schema = {"type": "array", "items": {"type": "object"}}

    @app.post("/predict_batch", responses=_ERRORS, openapi_extra=_body(schema, batch))
    async def predict_batch(request: Request, pictures: bool = False) -> Response:
        """Predicts on a list of objects, each as for `/predict`. The answer is the list of their answers, in order."""
        return await asyncio.wait_for(answer(request, pictures, is_batch=True), limits.timeout)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answers while the server is up, however busy the model is."""
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    add_page(app, limits, {**(description or {}), "timeout": limits.timeout})
    return app


def _body(schema: JsonDict, examples: JsonDict) -> JsonDict:
    content = {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


async def _read_json(request: Request, limits: Limits) -> Any:
    """The body as JSON."""
    body = await read_body(request, limits.max_body_bytes)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise QueryError(f"expected JSON: {error}") from error


def _warm_up(model: SentenceModel, limits: Limits) -> None:
    """Predicts once on tokens and once on raw text, so that what is loaded or compiled at first use is there."""
    for name in ("tokens", "sentence"):
        query = Query([_EXAMPLES[name]], limits)
        try:
            (answer,) = query.answer(model.predict_sentences(query.read(model.tagger)))
        except NoTaggerError as error:
            logger.warning("Raw text will be refused: %s", error)
        else:
            add_pictures(answer)


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def http_error(request: Request, error: StarletteHTTPException) -> Response:
        return error_response(error.status_code, error.detail, request.scope, error.headers)

    @app.exception_handler(RequestValidationError)
    async def bad_parameter(request: Request, error: RequestValidationError) -> Response:
        messages = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return error_response(422, "; ".join(messages), request.scope)

    @app.exception_handler(QueryError)
    async def bad_query(request: Request, error: QueryError) -> Response:
        return error_response(422, str(error), request.scope)

    @app.exception_handler(NoTaggerError)
    async def no_tagger(request: Request, error: NoTaggerError) -> Response:
        return error_response(501, str(error), request.scope)

    @app.exception_handler(QueueFullError)
    async def too_many(request: Request, error: QueueFullError) -> Response:
        message = "too many requests are pending, come back later"
        return error_response(503, message, request.scope, {"Retry-After": "1"})

    @app.exception_handler(asyncio.TimeoutError)
    async def timeout(request: Request, error: asyncio.TimeoutError) -> Response:
        return error_response(504, "the answer took too long, and was given up", request.scope)
