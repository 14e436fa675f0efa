"""
How fast decoders, sums over trees and projections are, next to whatever peers can be imported: one table, by hand.

    python -m benchmarks.decoders --lengths 10 30 60 100

Batches of equally long sentences with random scores; the lengths do not count ROOT. The scores of semantic graphs are
low enough that a token has 0.4 arguments, as in PropBank annotations of the English Web Treebank; the points to project
are one step of norm 1 away from a tree of that kind, as SPIGOT takes it. Each cell is the median time of a batch in
milliseconds.
"optimum" says whether the peer found the same optimum, sum or projection.
"""

from collections.abc import Callable, Iterator

import torch

from benchmarks.peers import (
    NUM_LABELS,
    Peer,
    allennlp,
    entmax,
    inverse_laplacian,
    label_assignment,
    lp_sparsemap,
    max_in_torch,
    networkx,
    sort_in_torch,
    supar_crf,
    supar_nonprojective,
    synjax_trees,
    torch_struct_trees,
    ufal,
)
from benchmarks.table import Task, main, random_graph_scores, random_scores
from spigot_allennlp.nn.arcs import arc_mask
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree, SemanticGraph, Structure


def step_from(structure: Structure) -> Callable[[int, int], torch.Tensor]:
    """The structure of random scores less a random gradient of norm 1."""

    def points(batch_size: int, length: int) -> torch.Tensor:
        scores = random_scores(batch_size, length)
        gradient = torch.randn(scores.shape, generator=torch.Generator().manual_seed(length + 1))
        tree = structure.argmax(scores, torch.ones(scores.shape[:2], dtype=torch.bool))
        return tree - gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1)

    return points


def all_deterministic(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return SemanticGraph(deterministic_labels=list(range(NUM_LABELS))).argmax(scores, mask)


class OwnTree(NonprojectiveTree):
    """As a structure of one's own, of which only the argmax is known."""

    project = Structure.project


IN_TORCH_STRUCT = {"argmax": "argmax", "log_partition": "partition", "marginals": "marginals"}


def tree_rows(name: str, operation: str, projective: bool) -> Iterator[Task]:
    """A row for any number of roots, and one for a single one."""
    structure = ProjectiveTree if projective else NonprojectiveTree
    in_supar = "DependencyCRF" if projective else "MatrixTree"
    in_torch_struct = "DependencyCRF" if projective else "NonProjectiveDependencyCRF"
    for single_root in False, True:
        peers = [
            Peer("supar", "supar.structs", supar_crf(in_supar, operation, not single_root)),
            Peer(
                "torch-struct",
                "torch_struct",
                torch_struct_trees(in_torch_struct, IN_TORCH_STRUCT[operation], not single_root),
            ),
            Peer("synjax", "synjax", synjax_trees(operation, projective, single_root), compiles=True),
        ]
        if operation == "marginals" and not projective and not single_root:
            peers.insert(0, Peer("torch.linalg.inv", "torch", inverse_laplacian))
        ours = getattr(structure(single_root), operation)
        yield Task(name + ", single root" * single_root, ours, peers, random_scores)


TASKS = [
    Task(
        "arborescence",
        NonprojectiveTree().argmax,
        [
            Peer("ufal", "ufal.chu_liu_edmonds", ufal),
            Peer("allennlp", "allennlp.nn.chu_liu_edmonds", allennlp),
            Peer("supar", "supar.structs", supar_nonprojective(multiroot=True)),
            Peer("networkx", "networkx", networkx),
            Peer("synjax", "synjax", synjax_trees("argmax", projective=False, single_root=False), compiles=True),
        ],
        random_scores,
    ),
    Task(
        "arborescence, single root",
        NonprojectiveTree(single_root=True).argmax,
        [
            Peer("supar", "supar.structs", supar_nonprojective(multiroot=False)),
            Peer("synjax", "synjax", synjax_trees("argmax", projective=False, single_root=True), compiles=True),
        ],
        random_scores,
    ),
    *tree_rows("projective tree", "argmax", projective=True),
    *tree_rows("matrix-tree log-partition", "log_partition", projective=False),
    *tree_rows("matrix-tree marginals", "marginals", projective=False),
    *tree_rows("projective log-partition", "log_partition", projective=True),
    *tree_rows("projective marginals", "marginals", projective=True),
    Task(
        "local projection",
        lambda scores, mask: project_onto_simplex(scores, arc_mask(mask)),
        [Peer("torch.sort", "torch", sort_in_torch), Peer("entmax", "entmax", entmax)],
        random_scores,
    ),
    *(
        Task(f"exact projection, {name}", structure.project, peers, step_from(structure))
        for name, structure, peers in (
            ("nonprojective", NonprojectiveTree(), [Peer("lp-sparsemap", "lpsmap", lp_sparsemap(projective=False))]),
            ("projective", ProjectiveTree(), [Peer("lp-sparsemap", "lpsmap", lp_sparsemap(projective=True))]),
            ("nonprojective, single root", NonprojectiveTree(single_root=True), []),
            ("projective, single root", ProjectiveTree(single_root=True), []),
            ("argmax alone, single root", OwnTree(single_root=True), []),
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


if __name__ == "__main__":
    main(TASKS, __doc__)
