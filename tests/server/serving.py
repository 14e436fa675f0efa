import asyncio
import threading
import time
from contextlib import contextmanager
from functools import partial

import httpx
import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("fastapi_offline", reason="needs the extra `serve`")

from spigot_allennlp.server._app import create_app  # noqa: E402
from spigot_allennlp.server._connections import connections  # noqa: E402
from spigot_allennlp.server._several import join_apps, name_others, paths_of_others  # noqa: E402
from spigot_allennlp.server.answerer import Answerer  # noqa: E402
from spigot_allennlp.server.limits import Limits  # noqa: E402
from tests import PATIENCE  # noqa: E402


class LocalModel:
    """A model in this process, in a thread of its own."""

    def __init__(self, predictor, limits):
        self._answerer = Answerer(predictor, limits)

    async def start(self):
        await asyncio.to_thread(self._answerer.warm_up)

    async def answer(self, objects):
        return await asyncio.to_thread(self._answerer.answer, objects)

    def close(self):
        pass


@contextmanager
def serving(predictor, *others, make_model=LocalModel, wait_until_ready=True, description=None, **limits):
    """Serves a predictor, perhaps with others beside it, in a thread, and gives the address."""
    limits = Limits(**{"timeout": PATIENCE, **limits})
    descriptions = name_others([description or {}] + [{} for _ in others])
    apps = [
        create_app(partial(make_model, one, limits), limits, description=known)
        for one, known in zip((predictor, *others), descriptions, strict=True)
    ]
    config = uvicorn.Config(
        join_apps(apps),
        http=connections(limits),
        port=0,
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    (port,) = (socket.getsockname()[1] for listener in server.servers for socket in listener.sockets)
    try:
        url = f"http://127.0.0.1:{port}"
        if wait_until_ready:
            for path in ("", *paths_of_others(len(apps))):
                until_ready(f"{url}/{path}".rstrip("/"))
        yield url
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"


def until_ready(url):
    wait_until(lambda: httpx.get(f"{url}/ready").status_code == 200)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.01)
