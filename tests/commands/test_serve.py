import argparse
import builtins
import json
import signal
import socket
import time
from contextlib import suppress

import httpx
import pytest
from allennlp.commands.train import train_model_from_file
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.commands.serve import Serve, _listen, serve
from spigot_allennlp.server.limits import Limits
from tests import FIXTURES_ROOT, PATIENCE
from tests.programs import THE_COMMAND, Program

SENTENCE = {"tokens": ["Anna", "sings"], "tags": ["NNP", "VBZ"], "lemmas": ["Anna", "sing"]}


@pytest.fixture(scope="module")
def archive_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive") / "output"
    train_model_from_file(FIXTURES_ROOT / "syntactic_then_semantic.jsonnet", folder)
    return folder / "model.tar.gz"


def parse(*options):
    parser = argparse.ArgumentParser()
    Serve().add_subparser(parser.add_subparsers()).set_defaults(include_package=[])  # the framework's own option
    return parser.parse_args(["spigot-serve", "--archive-path", "model.tar.gz", *options])


def test_the_server_is_for_this_machine_alone_unless_told_otherwise():
    assert parse().host == "127.0.0.1"


def test_archives_may_be_several():
    assert parse().archive_path == ["model.tar.gz"]
    assert parse("--archive-path", "b.tar.gz").archive_path == ["model.tar.gz", "b.tar.gz"]


def test_every_limit_is_an_option(monkeypatch):
    served = []
    monkeypatch.setattr("spigot_allennlp.commands.serve.serve", lambda *args: served.append(args))
    for options, limits in [
        ([], Limits()),
        (["--max-tokens", "5", "--timeout", "0.5"], Limits(max_tokens=5, timeout=0.5)),
    ]:
        args = parse(*options)
        args.func(args)
        assert served.pop()[-1] == limits


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    find = builtins.__import__

    def find_no_uvicorn(name, *args, **kwargs):
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'")
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", find_no_uvicorn)
    with pytest.raises(
        ConfigurationError, match=r"No module named .uvicorn.: install the extra `serve` of this package"
    ):
        serve("model.tar.gz")


@pytest.mark.usefixtures("quick_model_processes")
def test_another_packages_predictor_is_refused(archive_file):
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    with pytest.raises(ConfigurationError, match="a predictor of spigot_allennlp, found TextClassifierPredictor"):
        serve(archive_file, "text_classifier", port=0)


@pytest.mark.parametrize("option", ["num_workers", "num_threads"])
def test_there_is_at_least_one(option):
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    with pytest.raises(ConfigurationError, match=f"{option} must be a positive number, but is 0"):
        serve("model.tar.gz", **{option: 0})


def test_an_address_that_is_taken_is_told_before_anything_is_loaded():
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        expected = f"expected an address that is free, found 127.0.0.1, port {port}: .* Address already in use"
        with pytest.raises(ConfigurationError, match=expected):
            serve("nowhere.tar.gz", port=port)


def test_answers_are_sent_at_once():
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        with listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# The command, with models in forks in place of new interpreters.
SERVE = f"""
import multiprocessing
from spigot_allennlp.server import model_process

model_process._CONTEXT = multiprocessing.get_context("fork")
{THE_COMMAND}
"""


@pytest.mark.slow
def test_the_command_serves_and_stops_on_sigterm_after_answering(archive_file):
    pytest.importorskip("uvicorn", reason="needs the extra `serve`")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = ["--archive-path", archive_file, "--port", port, "--timeout", PATIENCE]
    process = Program(SERVE, "spigot-serve", *options)
    try:
        wait_until_ready(port, process)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            body = json.dumps([SENTENCE] * 100).encode()
            head = f"POST /predict_batch HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:-1])
            wait_until_in_progress(port)
            process.send(signal.SIGTERM)
            connection.sendall(body[-1:])
            answer = connection.makefile("rb").read()
        process.wait(PATIENCE)
    finally:
        process.kill()
    assert process.status == 0, process.errors
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert [output["tokens"] for output in json.loads(content)] == [SENTENCE["tokens"]] * 100
    assert "Traceback" not in process.errors
    logged = [json.loads(line) for line in process.out.splitlines()]
    assert (logged[-1]["path"], logged[-1]["status"]) == ("/predict_batch", 200)


def wait_until_ready(port, process):
    while process.status is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                return
        time.sleep(0.2)
    raise AssertionError(process.errors)


def wait_until_in_progress(port):
    """Until the server has begun with the request whose body is not complete."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        if "spigot_requests_in_progress 2.0" in metrics:  # that one, and this
            return
    raise AssertionError(metrics)
