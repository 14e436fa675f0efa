import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Optional, TypeVar

from allennlp.common.util import JsonDict
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram, generate_latest
from pydantic_core import from_json
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from spigot_allennlp.data.json_line import shortened_json
from spigot_allennlp.server._access_log import AccessLog, error_response
from spigot_allennlp.server._body import read_body
from spigot_allennlp.server._page import add_page
from spigot_allennlp.server._schema import BATCH_BODY, BODY, ERRORS, Answer, with_body
from spigot_allennlp.server.limits import Limits, QueryError
from spigot_allennlp.server.query import NoTaggerError, Query
from spigot_allennlp.server.request_queue import QueueFullError, RequestQueue
from spigot_allennlp.server.worker import Model, Worker

_T = TypeVar("_T")


class NotReadyError(Exception):
    """There is no model yet that is warm."""


def create_app(
    make_model: Callable[[], Model],
    limits: Limits = Limits(),
    num_workers: int = 1,
    on_failure: Callable[[BaseException], Any] = lambda error: None,
    description: Optional[JsonDict] = None,
) -> FastAPI:
    """
    The web application around a model: `/predict` and `/predict_batch`, a page to try them at `/`, `/health`, `/ready`,
    `/metrics` for Prometheus, and the interface's description at `/docs` and `/openapi.json`. Nothing that it serves
    loads anything from elsewhere. It answers at once, and predicts as soon as a model is warm.

    # Parameters

    make_model : `Callable[[], Model]`
        Such as a [`ModelProcess`](./model_process.md).
    limits : `Limits`, optional
    num_workers : `int`, optional (default = `1`)
        How many models there are at a time, of which each predicts a batch of its own.
    on_failure : `Callable[[BaseException], Any]`, optional
        Is told why no model can be loaded when the server starts.
    description : `JsonDict`, optional (default = `None`)
        What the page says of the model, see [`describe`](./description.md#describe).
    """
    registry = CollectorRegistry()
    batch_sizes = Histogram(
        "spigot_batch_objects", "Objects predicted on together", buckets=[2**i for i in range(9)], registry=registry
    )
    queue = RequestQueue(limits)
    workers = [Worker(make_model, queue, limits, batch_sizes.observe) for _ in range(num_workers)]
    for name, meaning, value in (
        ("spigot_requests_pending", "Requests that wait for the model or are worked on", lambda: queue.num_pending),
        ("spigot_tokens_pending", "Tokens of such requests", lambda: queue.num_pending_tokens),
        ("spigot_models_ready", "Models that are warm", lambda: sum(worker.is_ready for worker in workers)),
    ):
        Gauge(name, meaning, registry=registry).set_function(value)

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()):
            on_failure(error)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        for task in tasks:
            task.add_done_callback(ended)
        try:
            # What is there now stays. To look through it for garbage would stop everything for a third of a second.
            gc.collect()
            gc.freeze()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
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
            raise QueryError(f"expected a JSON list, found {shortened_json(content)}")
        query = Query(content if is_batch else [content], limits)
        if not any(worker.is_ready for worker in workers):
            raise NotReadyError
        outputs = query.outputs(await _unless_gone(request, queue.ask(query.asked(pictures), query.sizes)))
        return Response(f"[{','.join(outputs)}]" if is_batch else outputs[0], media_type="application/json")

    @app.post("/predict", responses={200: {"model": Answer}, **ERRORS}, openapi_extra=with_body(BODY))
    async def predict(request: Request, pictures: bool = False) -> Response:
        """
        Predicts on one object: `sentence`, raw text that is one sentence; `text`, raw text that is split and answered
        with a list of `sentences`; or `tokens`, with or without their `tags` and `lemmas`. With `pictures=true`, each
        sentence of the answer also has its tree and graph as SVG.
        """
        return await asyncio.wait_for(answer(request, pictures, is_batch=False), limits.timeout)

    @app.post("/predict_batch", responses={200: {"model": list[Answer]}, **ERRORS}, openapi_extra=with_body(BATCH_BODY))
    async def predict_batch(request: Request, pictures: bool = False) -> Response:
        """Predicts on a list of objects, each as for `/predict`. The answer is the list of their answers, in order."""
        return await asyncio.wait_for(answer(request, pictures, is_batch=True), limits.timeout)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answers while the server is up, however busy the model is."""
        return {"status": "ok"}

    @app.get("/ready", responses={503: ERRORS[503]})
    async def ready() -> dict[str, str]:
        """Answers with 200 while there is a model that is warm."""
        if not any(worker.is_ready for worker in workers):
            raise NotReadyError
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    add_page(app, limits, {**(description or {}), "timeout": limits.timeout})
    return app


async def _read_json(request: Request, limits: Limits) -> Any:
    """The body as JSON."""
    body = await read_body(request, limits.max_body_bytes)
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise QueryError(f"expected JSON: {error}") from error


async def _unless_gone(request: Request, answer: Coroutine[Any, Any, _T]) -> _T:
    """The answer; a `ClientDisconnect` and nothing more of it, if the client goes away before."""

    async def wait_until_gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answering, gone = asyncio.create_task(answer), asyncio.create_task(wait_until_gone())
    try:
        await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        return answering.result()
    finally:
        answering.cancel()
        gone.cancel()


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

    @app.exception_handler(NotReadyError)
    async def not_ready(request: Request, error: NotReadyError) -> Response:
        message = "the model is being loaded, come back later"
        return error_response(503, message, request.scope, {"Retry-After": "5"})

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        """Of an application below another one, whose `AccessLog` writes the error to the log."""
        return error_response(500, "internal error", request.scope)

    @app.exception_handler(TimeoutError)  # which is another one before Python 3.11
    @app.exception_handler(asyncio.TimeoutError)
    async def timeout(request: Request, error: asyncio.TimeoutError) -> Response:
        return error_response(504, "the answer took too long, and was given up", request.scope)
