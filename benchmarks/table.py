"""
The table of `benchmarks.decoders` and `benchmarks.distributions`: tasks, and how long we and the peers take for them.

Batches of equally long sentences with random scores; the lengths do not count ROOT. Each cell is the median time of a
batch in milliseconds. Where a peer fails, the line below says why.
"""

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks.peers import NUM_LABELS, Function, Peer

TOO_SLOW = 3.0


class Task(NamedTuple):
    name: str
    ours: Function
    peers: list[Peer]
    scores: Callable[[int, int], torch.Tensor]


def random_scores(batch_size: int, length: int) -> torch.Tensor:
    """`(batch, length + 1, length + 1)`."""
    return torch.randn(batch_size, length + 1, length + 1, generator=torch.Generator().manual_seed(length))


def random_graph_scores(batch_size: int, length: int) -> torch.Tensor:
    """`(batch, length + 1, length + 1, NUM_LABELS)`, of which `0.4 / length` of the pairs have a positive one."""
    generator = torch.Generator().manual_seed(length)
    noise = torch.randn(batch_size, length + 1, length + 1, NUM_LABELS, generator=generator)
    return noise - noise[0].amax(dim=2).quantile(1 - 0.4 / length)


def synchronize(tensor: torch.Tensor) -> None:
    """Waits for what a GPU, if the tensor is on one, was told to do."""
    if tensor.is_cuda:
        torch.cuda.synchronize()


def median_ms(function: Function, scores: torch.Tensor, mask: torch.Tensor) -> float:
    """The median time of as many runs as take a second, at least three, after one to warm up."""
    times: list[float] = []
    function(scores, mask)
    while len(times) < 3 or (sum(times) < 1 and len(times) < 200):
        synchronize(scores)
        start = time.perf_counter()
        function(scores, mask)
        synchronize(scores)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def same_optimum(task: Task, scores: torch.Tensor, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    if "samples" in task.name:
        ours, theirs = ((z * scores).double().flatten(2).sum(2).mean() for z in (ours, theirs))
        return torch.allclose(ours, theirs, rtol=0.05)
    if ours.shape == scores.shape and "marginals" not in task.name and "projection" not in task.name:
        ours, theirs = ((z * scores).double().flatten(1).sum(1) for z in (ours, theirs))
    return torch.allclose(ours, theirs.to(ours.dtype), rtol=1e-4, atol=1e-4)


def compare(task: Task, lengths: list[int], batch_size: int, device: str) -> None:
    batches = []
    for length in lengths:
        scores = task.scores(batch_size, length).to(device)
        batches.append((scores, torch.ones(scores.shape[:2], dtype=torch.bool, device=device)))
    results = [task.ours(*batch) for batch in batches]
    ours = [median_ms(task.ours, *batch) for batch in batches]
    print(row(task.name, "ours", [f"{time:.3f}" for time in ours]), flush=True)
    for peer in task.peers:
        try:
            function = peer.build(importlib.import_module(peer.module))
        except ImportError:
            print(row("", peer.name, ["not installed"]), flush=True)
            continue
        cells, same, last, reasons = [], [], 0.0, {}
        for (scores, mask), result, our_time in zip(batches, results, ours, strict=True):
            if last > TOO_SLOW:
                cells.append("-")
                continue
            try:
                if peer.compiles:
                    function(scores, mask)
                start = time.perf_counter()
                same.append(same_optimum(task, scores, result, function(scores, mask)))
                last = time.perf_counter() - start
                theirs = last * 1000 if last > TOO_SLOW else median_ms(function, scores, mask)
                cells.append(f"{theirs:.3f} ({theirs / our_time:.1f}x)")
            except Exception as error:
                cells.append("fails")
                # The first line of the first reason is enough; later lengths mostly fail alike.
                reasons.setdefault(type(error).__name__, str(error).strip().partition("\n")[0])
        print(row("", peer.name, [*cells, ("same" if all(same) else "another") if same else "-"]), flush=True)
        for kind, reason in reasons.items():
            print(row("", f"  {kind}: {reason}", []), flush=True)


def row(task: str, who: str, cells: list[str]) -> str:
    return f"{task:50}{who:18}" + "".join(f"{cell:>20}" for cell in cells)


def options(description: str) -> argparse.Namespace:
    """What the command line says; torch has the threads that it gives."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 30, 60, 100], help="tokens per sentence")
    parser.add_argument("--batch-size", type=int, default=32, help="sentences per batch")
    parser.add_argument("--threads", type=int, default=1, help="threads that torch may use")
    parser.add_argument("--device", default="cpu", help="where the tensors are: 'cpu', or 'cuda' for a GPU")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    return arguments


def main(tasks: list[Task], description: str) -> None:
    arguments = options(description)
    if arguments.threads == 1:
        # For jax, which has not been imported yet.
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    if importlib.util.find_spec("jaxtyping"):
        # What synjax checks of its own types fails with newer versions.
        importlib.import_module("jaxtyping").config.update("jaxtyping_disable", True)
    print(row("task", "who", [*map(str, arguments.lengths), "optimum"]), flush=True)
    for task in tasks:
        if arguments.only in task.name:
            compare(task, arguments.lengths, arguments.batch_size, arguments.device)
