import threading
import time
from contextlib import contextmanager

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("fastapi_offline", reason="needs the extra `serve`")

from spigot_allennlp.server._app import create_app  # noqa: E402
from spigot_allennlp.server._several import join_apps, name_others  # noqa: E402
from spigot_allennlp.server.limits import Limits  # noqa: E402
from tests import PATIENCE  # noqa: E402


@contextmanager
def serving(predictor, *others, description=None, **limits):
    """Serves a predictor, perhaps with others beside it, in a thread, and gives the address."""
    limits = Limits(**{"timeout": PATIENCE, **limits})
    descriptions = name_others([description or {}] + [{} for _ in others])
    apps = [create_app([one], limits, known) for one, known in zip((predictor, *others), descriptions, strict=True)]
    config = uvicorn.Config(join_apps(apps), port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    (port,) = (socket.getsockname()[1] for listener in server.servers for socket in listener.sockets)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server did not stop"
