import threading
import time
from contextlib import contextmanager

import pytest

uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("fastapi_offline", reason="needs the extra `serve`")

from spigot_allennlp.server._app import create_app  # noqa: E402
from spigot_allennlp.server.limits import Limits  # noqa: E402
from tests import PATIENCE  # noqa: E402


@contextmanager
def serving(predictor, **limits):
    """Serves a predictor in a thread, and gives the address."""
    config = uvicorn.Config(
        create_app([predictor], Limits(**{"timeout": PATIENCE, **limits})), port=0, log_config=None, access_log=False
    )
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
