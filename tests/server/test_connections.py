import re
import resource
import socket
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests import PATIENCE
from tests.server.echo import EchoPredictor
from tests.server.serving import Limits, connections, serving

HEAD = b"GET /health HTTP/1.1\r\nHost: a\r\n"


@contextmanager
def connected(url, num=1):
    address = httpx.URL(url)
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((address.host, address.port), timeout=PATIENCE))
            for _ in range(num)
        ]


def is_answered(connection):
    """Whether a whole answer of 200 comes."""
    answer = b""
    while not re.search(rb"\r\n\r\n\{.*\}\Z", answer):
        received = connection.recv(10_000)
        assert received, answer
        answer += received
    return answer.startswith(b"HTTP/1.1 200 ")


def is_closed(connection):
    """Whether the server closes it, soon."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", HEAD, HEAD + b"\r\n"], ids=["nothing", "half a head", "a request"])
def test_a_connection_on_which_nothing_more_comes_is_closed(sent):
    with serving(EchoPredictor(), idle_timeout=0.3) as url, connected(url) as (connection,):
        connection.sendall(sent)
        if sent.endswith(b"\r\n\r\n"):
            assert is_answered(connection)
        assert is_closed(connection)


def test_bytes_that_trickle_do_not_keep_it_open():
    with serving(EchoPredictor(), idle_timeout=0.5) as url, connected(url) as (connection,):
        connection.sendall(HEAD)
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(ConnectionError):
            while time.monotonic() < deadline:
                connection.sendall(b"a")
                time.sleep(0.02)


def test_a_request_that_takes_longer_keeps_it_open():
    predictor = EchoPredictor()
    with serving(predictor, idle_timeout=0.2) as url, connected(url) as (connection,):
        predictor.may_go_on.clear()
        body = b'{"sentence": "a"}'
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        time.sleep(0.5)
        predictor.may_go_on.set()
        assert is_answered(connection)
        assert is_closed(connection)


def test_of_too_many_the_one_that_has_been_idle_longest_makes_room():
    with serving(EchoPredictor(), max_connections=5) as url, connected(url, 5) as (first, *others):
        for connection in (*others, first):
            connection.sendall(HEAD + b"\r\n")
            assert is_answered(connection)
        with connected(url, 4) as more:
            assert all(map(is_closed, others))
            for connection in (first, *more):
                connection.sendall(HEAD + b"\r\n")
                assert is_answered(connection)


def test_requests_are_not_closed_for_others():
    predictor = EchoPredictor()
    with serving(predictor, max_connections=1) as url, connected(url) as (connection,):
        predictor.may_go_on.clear()
        body = b'{"sentence": "a"}'
        connection.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        for _ in range(3):  # the first two of which were to warm up
            assert predictor.begun.acquire(timeout=PATIENCE)
        with connected(url) as (other,):
            assert is_closed(other)
        predictor.may_go_on.set()
        assert is_answered(connection)


@pytest.mark.parametrize("files, expected", [(256, 64), (10, 1), (10_000, 1000), (resource.RLIM_INFINITY, 1000)])
def test_there_are_no_more_than_the_system_allows(monkeypatch, files, expected):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))
    made = connections(Limits())
    assert made.keywords["limits"].max_connections == expected
