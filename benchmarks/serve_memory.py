"""
The memory of the processes of `allennlp spigot-serve` while it answers raw text of random words: one table, by hand.

    python -m benchmarks.serve_memory output/demo/model.tar.gz

Each request is a sentence of 8 to 24 words that nobody has written, so that whatever is kept of words grows. Memory is
what the processes have resident, in MB: of the one that listens, and of the one that predicts. Options after `--` are
for the server.
"""

import argparse
import asyncio
import itertools
import json
import random
import signal
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.serve import HOST, ask, running

COLUMNS = ("requests", "seconds", "listens, MB", "predicts, MB", "process", "lost")


def bodies() -> Iterator[bytes]:
    chance = random.Random(0)
    while True:
        words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 12))) for _ in range(24)]
        yield json.dumps({"sentence": " ".join(words[: chance.randint(8, 24)])}).encode()


async def send(port: int, requests: Iterator[bytes], num_clients: int) -> int:
    """How many were not answered."""
    lost = 0

    async def client() -> None:
        nonlocal lost
        reader, writer = await asyncio.open_connection(HOST, port)
        for body in requests:
            status, _ = await ask(reader, writer, "/predict", body)
            lost += status != 200
        writer.close()

    await asyncio.gather(*(client() for _ in range(num_clients)))
    return lost


def children(process: int) -> list[int]:
    """The newest last."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sorted(int(child) for task in tasks for child in (task / "children").read_text().split())


def megabytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024


def main() -> None:
    own, _, for_server = " ".join(sys.argv[1:]).partition(" -- ")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="a trained model, model.tar.gz")
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--every", type=int, default=5_000, help="requests from row to row")
    parser.add_argument("--clients", type=int, default=16, help="clients at once")
    parser.add_argument("--port", type=int, default=8905)
    arguments = parser.parse_args(own.split())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that the server is stopped, too

    command = ["spigot-serve", "--archive-path", arguments.archive, "--num-workers", "1", *for_server.split()]
    requests = bodies()
    start = asyncio.new_event_loop().time()
    print("".join(f"{column:>14}" for column in COLUMNS))
    with running(command, arguments.port) as server:
        for done in range(0, arguments.requests + 1, arguments.every):
            model = max(children(server), key=megabytes)  # not the tracker of multiprocessing
            seconds = asyncio.new_event_loop().time() - start
            row = (done, f"{seconds:.0f}", megabytes(server), megabytes(model), model)
            print("".join(f"{cell:>14}" for cell in row), end="", flush=True)
            lost = asyncio.run(send(arguments.port, itertools.islice(requests, arguments.every), arguments.clients))
            print(f"{lost:>14}", flush=True)


if __name__ == "__main__":
    main()
