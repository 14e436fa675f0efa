import json
import logging
import re
import sys
import time
import uuid
from datetime import datetime, timezone
from typing import Any, Optional

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

access_logger = logging.getLogger(__name__)
_errors = logging.getLogger("spigot_allennlp.server")

_REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_CLIENT_CLOSED = 499  # The client went away before it was answered; nginx's code, which nobody receives.


def write_access_log() -> None:
    """Writes the access log to the standard output, one JSON object a line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access_logger.addHandler(handler)
    access_logger.setLevel(logging.INFO)
    access_logger.propagate = False


def error_response(status: int, message: str, scope: Scope, headers: Optional[dict[str, str]] = None) -> JSONResponse:
    """How every error is told."""
    return JSONResponse({"error": message, "request_id": scope["state"]["request_id"]}, status, headers)


class AccessLog:
    """
    ASGI middleware that gives each request an id (that of its header `X-Request-ID`, or a fresh one), sends it back
    in the same header, logs the request and counts it. An exception that nobody handled goes to the log with the id;
    the client is told the id alone. `HEAD` is answered as `GET` is, and uvicorn leaves the body out.

    # Parameters

    app : `ASGIApp`
    registry : `CollectorRegistry`
        Of the metrics.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter("spigot_requests", "Requests", ("path", "status"), registry=registry)
        self._seconds = Histogram("spigot_request_seconds", "Time to answer", ("path",), registry=registry)
        self._in_progress = Gauge("spigot_requests_in_progress", "Requests not yet answered", registry=registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "request_id" in scope.get("state", {}):  # which the app around this one has set
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status: Optional[int] = None
        asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        start = time.perf_counter()
        try:
            with self._in_progress.track_inprogress():
                await self._app(asked, receive, send_with_id)
        except ClientDisconnect:
            status = _CLIENT_CLOSED
        except Exception:
            _errors.exception("request %s failed", request_id)
            if status is None:
                await error_response(500, "internal error", scope)(scope, receive, send_with_id)
        finally:
            scope["route"] = asked.get("route")
            self._record(scope, request_id, status, time.perf_counter() - start)

    def _record(self, scope: Scope, request_id: str, status: Optional[int], seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "other")  # not the path as it came: metrics are kept for each
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)
        entry = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "request_id": request_id,
            "client": scope["client"][0] if scope.get("client") else None,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "milliseconds": round(1000 * seconds, 1),
        }
        access_logger.info(json.dumps(entry))
