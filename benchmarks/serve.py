"""
`allennlp spigot-serve` under load, beside allennlp-server: one table, by hand.

    python -m benchmarks.serve output/demo/model.tar.gz --peer peers

Both servers serve the same model on this machine, and take turns. Clients send tagged sentences one after the other,
each as soon as its last answer is there; each answer is compared with what the model says to that sentence alone.
Meanwhile a process of its own asks for the server's health, fifty times a second. Then ours alone has the
same sentences as raw text; from eight clients, batches of twenty sentences whose pictures are wanted; and from eight,
text that is meant to keep it busy, where an answer may be an error that says what is expected. `--peer` names a folder
with allennlp-server (`uv pip install --target peers --no-deps allennlp-server flask flask-cors gevent`, and what these
need). Times are in milliseconds.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks.malformed import HOSTILE, MALFORMED, TOO_MUCH

HOST = "127.0.0.1"
COMPARED = ("tokens", "heads", "arcs", "tops", "label")
COLUMNS = ("requests/s", "p50", "p95", "p99", "lost", "wrong", "health p50", "health max")


class Server(NamedTuple):
    name: str
    port: int
    health: str
    is_ours: bool


class Case(NamedTuple):
    body: bytes
    expected: dict[str, Any] | None  # `None` for any answer or 4xx
    path: str = "/predict"


@dataclass
class Result:
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    lost: int = 0
    wrong: int = 0

    def cells(self, health: list[float]) -> list[str]:
        cuts = statistics.quantiles(self.times, n=100) if len(self.times) > 1 else [float("nan")] * 99
        numbers = [cuts[49], cuts[94], cuts[98]]
        return [
            f"{len(self.times) / self.seconds:.1f}",
            *(f"{1000 * number:.1f}" for number in numbers),
            str(self.lost),
            str(self.wrong),
            *(f"{1000 * number:.1f}" for number in (statistics.median(health), max(health))),
        ]


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes) -> tuple[int, bytes]:
    """A request on an open connection: a client that costs little, because the servers' processors pay for it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), await reader.readexactly(int(headers["content-length"]))


async def client(server: Server, cases: Iterator[Case], deadline: float, result: Result) -> None:
    reader, writer = await asyncio.open_connection(HOST, server.port)
    while time.perf_counter() < deadline:
        case = next(cases)
        start = time.perf_counter()
        try:
            status, answer = await asyncio.wait_for(ask(reader, writer, case.path, case.body), 60)
        except (OSError, EOFError, asyncio.TimeoutError):
            result.lost += 1
            reader, writer = await asyncio.open_connection(HOST, server.port)
            continue
        if status >= 500 or (status != 200 and case.expected is not None):
            result.lost += 1
            continue
        result.times.append(time.perf_counter() - start)
        if case.expected is not None and compared(json.loads(answer)) != case.expected:
            result.wrong += 1
    writer.close()


async def load(server: Server, cases: Iterator[Case], num_clients: int, seconds: float) -> Result:
    result = Result()
    start = time.perf_counter()
    await asyncio.gather(*(client(server, cases, start + seconds, result) for _ in range(num_clients)))
    result.seconds = time.perf_counter() - start
    return result


def ask_for_health(server: Server, begun: Any, stop: Any, times: Any) -> None:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
    measured = []
    while not stop.is_set():
        start = time.perf_counter()
        connection.request("GET", server.health)
        connection.getresponse().read()
        measured.append(time.perf_counter() - start)
        begun.set()
        time.sleep(0.02)
    times.put(measured)


def measure(server: Server, cases: Iterator[Case], num_clients: int, seconds: float) -> list[str]:
    context = multiprocessing.get_context("spawn")
    begun, stop, times = context.Event(), context.Event(), context.Queue()
    watcher = context.Process(target=ask_for_health, args=(server, begun, stop, times))
    watcher.start()
    begun.wait()
    result = asyncio.run(load(server, cases, num_clients, seconds))
    stop.set()
    health = times.get()
    watcher.join()
    return result.cells(health)


def refused(server: Server) -> str:
    """How many malformed bodies are answered 4xx."""
    # The peer has neither that path nor limits: what is too much would take all the memory of the machine.
    bodies = MALFORMED + TOO_MUCH if server.is_ours else [bad for bad in MALFORMED if bad.path == "/predict"]
    count = 0
    for malformed in bodies:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=60)
        try:
            connection.request("POST", malformed.path, malformed.body, {"Content-Type": "application/json"})
            count += 400 <= connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
    return f"{count} of {len(bodies)}"


def compared(output: dict[str, Any]) -> dict[str, Any]:
    return {key: output[key] for key in COMPARED if key in output}


def make_cases(archive: str, sentences: str) -> dict[str, list[Case]]:
    """What is sent, by the kind of load."""
    # Not above: the process that asks for the server's health imports this file too.
    from allennlp.predictors import Predictor

    from spigot_allennlp.data.sdp import read_sdp

    predictor = Predictor.from_path(archive)
    gold = list(read_sdp(sentences))
    tagged = [{"tokens": sentence.forms, "tags": sentence.tags, "lemmas": sentence.lemmas} for sentence in gold]
    raw = [{"sentence": " ".join(sentence.forms)} for sentence in gold]
    batches = [tagged[start : start + 20] for start in range(0, len(tagged), 20)]

    def with_answer(content: dict[str, Any]) -> Case:
        return Case(json.dumps(content).encode(), compared(predictor.predict_json(content)))

    return {
        "tagged": [with_answer(content) for content in tagged],
        "raw text": [with_answer(content) for content in raw],
        "pictures": [Case(json.dumps(batch).encode(), None, "/predict_batch?pictures=true") for batch in batches],
        "hostile text": [Case(body, None) for body in HOSTILE],
    }


def is_ready(port: int) -> bool:
    """The peer has no such address, and answers when its model is loaded."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status != 503
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def running(command: list[str], port: int, path: str = "") -> Iterator[int]:
    """A server, and its process."""
    with socket.socket() as probe:
        if not probe.connect_ex((HOST, port)):
            sys.exit(f"port {port} is in use")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "allennlp", *command, "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not is_ready(port):
            if process.poll() is not None:
                sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def row(name: str, clients: str, cells: list[str]) -> str:
    return f"{name:18}{clients:>8}" + "".join(f"{cell:>12}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="a trained model, model.tar.gz")
    parser.add_argument("--peer", help="folder that allennlp-server is installed in")
    parser.add_argument("--sentences", default="fixtures/ewt/train.sdp", help="SDP file whose sentences are sent")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128], help="clients at once")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each server and number of clients")
    parser.add_argument("--port", type=int, default=8901, help="port of the server; its peer has the next")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the servers are stopped, too

    cases = make_cases(arguments.archive, arguments.sentences)
    servers = [Server("spigot-serve", arguments.port, "/health", is_ours=True)]
    with ExitStack() as stack:
        options = ["--archive-path", arguments.archive]
        stack.enter_context(running(["spigot-serve", *options], arguments.port))
        if arguments.peer:
            servers.append(Server("allennlp-server", arguments.port + 1, "/", is_ours=False))
            command = ["serve", *options, "--field-name", "tokens"]
            stack.enter_context(running(command, arguments.port + 1, arguments.peer))
        for server in servers:  # to warm up
            asyncio.run(load(server, itertools.cycle(cases["tagged"]), num_clients=4, seconds=2))
        print(row("server", "clients", list(COLUMNS)))
        for num_clients in arguments.clients:
            for server in servers:
                cells = measure(server, itertools.cycle(cases["tagged"]), num_clients, arguments.seconds)
                print(row(server.name, str(num_clients), cells), flush=True)
        more = [("raw text", num_clients) for num_clients in arguments.clients] + [("pictures", 8), ("hostile text", 8)]
        for kind, num_clients in more:
            cells = measure(servers[0], itertools.cycle(cases[kind]), num_clients, arguments.seconds)
            print(row(f"  {kind}", str(num_clients), cells), flush=True)
        for server in servers:
            print(f"{server.name}: malformed bodies answered 4xx: {refused(server)}")


if __name__ == "__main__":
    main()
