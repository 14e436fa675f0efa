"""
How fast decoders, sums over trees and projections are, next to whatever peers can be imported: one table, by hand.

    python -m benchmarks.decoders --lengths 10 30 60 100

Batches of equally long sentences with random scores; the lengths do not count ROOT. The scores of semantic graphs are
low enough that a token has 0.4 arguments, as in PropBank annotations of the English Web Treebank; the points to project
are one step of norm 1 away from a tree, as SPIGOT takes it. Each cell is the median time of a batch in milliseconds.
"optimum" says whether the peer found the same optimum, sum or projection.
"""

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks.peers import (
    NUM_LABELS,
    Function,
    Peer,
    allennlp,
    entmax,
    inverse_laplacian,
    label_assignment,
    max_in_torch,
    networkx,
    sort_in_torch,
    supar_crf,
    supar_nonprojective,
    torch_struct,
    ufal,
)
from spigot_allennlp.nn.arcs import arc_mask
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree, SemanticGraph, Structure

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


def step_from_a_tree(batch_size: int, length: int) -> torch.Tensor:
    """A tree less a random gradient of norm 1."""
    scores = random_scores(batch_size, length)
    gradient = torch.randn(scores.shape, generator=torch.Generator().manual_seed(length + 1))
    tree = NonprojectiveTree().argmax(scores, torch.ones(scores.shape[:2], dtype=torch.bool))
    return tree - gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1)


def all_deterministic(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return SemanticGraph(deterministic_labels=list(range(NUM_LABELS))).argmax(scores, mask)


class OwnTree(NonprojectiveTree):
    """As a structure of one's own, of which only the argmax is known."""

    project = Structure.project


TASKS = [
    Task(
        "arborescence",
        NonprojectiveTree().argmax,
        [
            Peer("ufal", "ufal.chu_liu_edmonds", ufal),
            Peer("allennlp", "allennlp.nn.chu_liu_edmonds", allennlp),
            Peer("supar", "supar.structs", supar_nonprojective(multiroot=True)),
            Peer("networkx", "networkx", networkx),
        ],
        random_scores,
    ),
    Task(
        "arborescence, single root",
        NonprojectiveTree(single_root=True).argmax,
        [Peer("supar", "supar.structs", supar_nonprojective(multiroot=False))],
        random_scores,
    ),
    Task(
        "projective tree",
        ProjectiveTree().argmax,
        [Peer("supar", "supar.structs", supar_crf("DependencyCRF", "argmax", multiroot=True))],
        random_scores,
    ),
    Task(
        "projective tree, single root",
        ProjectiveTree(single_root=True).argmax,
        [Peer("supar", "supar.structs", supar_crf("DependencyCRF", "argmax", multiroot=False))],
        random_scores,
    ),
    Task(
        "matrix-tree marginals",
        NonprojectiveTree().marginals,
        [
            Peer("torch.linalg.inv", "torch", inverse_laplacian),
            Peer("supar", "supar.structs", supar_crf("MatrixTree", "marginals", multiroot=True)),
            Peer("torch-struct", "torch_struct", torch_struct(multiroot=True)),
        ],
        random_scores,
    ),
    Task(
        "matrix-tree marginals, single root",
        NonprojectiveTree(single_root=True).marginals,
        [
            Peer("supar", "supar.structs", supar_crf("MatrixTree", "marginals", multiroot=False)),
            Peer("torch-struct", "torch_struct", torch_struct(multiroot=False)),
        ],
        random_scores,
    ),
    Task(
        "projective marginals",
        ProjectiveTree().marginals,
        [Peer("supar", "supar.structs", supar_crf("DependencyCRF", "marginals", multiroot=True))],
        random_scores,
    ),
    Task(
        "local projection",
        lambda scores, mask: project_onto_simplex(scores, arc_mask(mask)),
        [Peer("torch.sort", "torch", sort_in_torch), Peer("entmax", "entmax", entmax)],
        random_scores,
    ),
    *(
        Task(f"exact projection, {name}", structure.project, [], step_from_a_tree)
        for name, structure in (
            ("nonprojective", NonprojectiveTree(single_root=True)),
            ("projective", ProjectiveTree(single_root=True)),
            ("argmax alone", OwnTree(single_root=True)),
        )
    ),
    Task(
        "semantic graph, 58 labels",
        SemanticGraph().argmax,
        [Peer("torch.max", "torch", max_in_torch)],
        random_graph_scores,
    ),
    Task(
        "semantic graph, deterministic labels",
        all_deterministic,
        [Peer("scipy assignment", "scipy.optimize", label_assignment)],
        random_graph_scores,
    ),
]


def median_ms(function: Function, scores: torch.Tensor, mask: torch.Tensor) -> float:
    """The median time of as many runs as take a second, at least three, after one to warm up."""
    times: list[float] = []
    function(scores, mask)
    while len(times) < 3 or (sum(times) < 1 and len(times) < 200):
        start = time.perf_counter()
        function(scores, mask)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def same_optimum(task: Task, scores: torch.Tensor, ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    if "marginals" not in task.name and "projection" not in task.name:
        ours, theirs = ((z * scores).double().flatten(1).sum(1) for z in (ours, theirs))
    return torch.allclose(ours, theirs.to(ours.dtype), rtol=1e-4, atol=1e-4)


def compare(task: Task, lengths: list[int], batch_size: int) -> None:
    batches = []
    for length in lengths:
        scores = task.scores(batch_size, length)
        batches.append((scores, torch.ones(scores.shape[:2], dtype=torch.bool)))
    results = [task.ours(*batch) for batch in batches]
    ours = [median_ms(task.ours, *batch) for batch in batches]
    print(row(task.name, "ours", [f"{time:.3f}" for time in ours]))
    for peer in task.peers:
        try:
            function = peer.build(importlib.import_module(peer.module))
        except ImportError:
            print(row("", peer.name, ["not installed"]))
            continue
        cells, same, last = [], True, 0.0
        for (scores, mask), result, our_time in zip(batches, results, ours, strict=True):
            if last > TOO_SLOW:
                cells.append("-")
                continue
            try:
                start = time.perf_counter()
                same &= same_optimum(task, scores, result, function(scores, mask))
                last = time.perf_counter() - start
                theirs = last * 1000 if last > TOO_SLOW else median_ms(function, scores, mask)
                cells.append(f"{theirs:.3f} ({theirs / our_time:.1f}x)")
            except Exception as error:
                cells.append(type(error).__name__)
        print(row("", peer.name, [*cells, "same" if same else "another"]))


def row(task: str, who: str, cells: list[str]) -> str:
    return f"{task:36}{who:18}" + "".join(f"{cell:>20}" for cell in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 30, 60, 100], help="tokens per sentence")
    parser.add_argument("--batch-size", type=int, default=32, help="sentences per batch")
    parser.add_argument("--threads", type=int, default=1, help="threads that torch may use")
    parser.add_argument("--only", default="", help="only tasks whose name contains this")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(row("task", "who", [*map(str, arguments.lengths), "optimum"]))
    for task in TASKS:
        if arguments.only in task.name:
            compare(task, arguments.lengths, arguments.batch_size)


if __name__ == "__main__":
    main()
