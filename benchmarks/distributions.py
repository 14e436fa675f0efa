"""
How fast entropies, samples and the k best structures are, next to whatever peers can be imported, in the table of
[`benchmarks.decoders`](decoders.py), whose options these are.

    python -m benchmarks.distributions --lengths 10 30 60 100

"optimum" says whether the peer found the same entropies, the same scores of the best structures or, of samples, the
same score on average.
"""

import torch

from benchmarks.peers import (
    MANY,
    Function,
    Peer,
    networkx_best,
    supar_crf,
    supar_many,
    synjax_chain,
    synjax_trees,
    torch_struct_chain,
    torch_struct_trees,
)
from benchmarks.table import Task, main, random_graph_scores, random_scores
from spigot_allennlp.structures import LinearChain, NonprojectiveTree, ProjectiveTree, SemanticGraph, Structure

NUM_TAGS = 20


def random_chain_scores(batch_size: int, length: int) -> torch.Tensor:
    """`(batch, length, NUM_TAGS, NUM_TAGS)`."""
    return torch.randn(batch_size, length, NUM_TAGS, NUM_TAGS, generator=torch.Generator().manual_seed(length))


def samples_of(structure: Structure) -> Function:
    def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return structure.sample(scores, mask, MANY, torch.Generator().manual_seed(0))

    return run


def best_of(structure: Structure) -> Function:
    """The scores; the structures are found as well."""

    def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return structure.top_k(scores, mask, MANY)[1]

    return run


SYNJAX_SAMPLES = {
    single_root: Peer(
        "synjax", "synjax", synjax_trees("sample", projective=False, single_root=single_root), compiles=True
    )
    for single_root in (False, True)
}

TASKS = [
    Task(
        "nonprojective entropy",
        NonprojectiveTree().entropy,
        [
            Peer("supar", "supar.structs", supar_crf("MatrixTree", "entropy", multiroot=True)),
            Peer("synjax", "synjax", synjax_trees("entropy", projective=False, single_root=False), compiles=True),
        ],
        random_scores,
    ),
    Task(
        "projective entropy",
        ProjectiveTree().entropy,
        [
            Peer("supar", "supar.structs", supar_crf("DependencyCRF", "entropy", multiroot=True)),
            Peer("torch-struct", "torch_struct", torch_struct_trees("DependencyCRF", "entropy")),
            Peer("synjax", "synjax", synjax_trees("entropy", projective=True, single_root=False), compiles=True),
        ],
        random_scores,
    ),
    Task("10 samples, arborescences", samples_of(NonprojectiveTree()), [SYNJAX_SAMPLES[False]], random_scores),
    Task(
        "10 samples, arborescences, single root",
        samples_of(NonprojectiveTree(single_root=True)),
        [SYNJAX_SAMPLES[True]],
        random_scores,
    ),
    Task(
        "10 samples, projective trees",
        samples_of(ProjectiveTree()),
        [
            Peer("supar", "supar.structs", supar_many("sample")),
            Peer("torch-struct", "torch_struct", torch_struct_trees("DependencyCRF", "sample")),
            Peer("synjax", "synjax", synjax_trees("sample", projective=True, single_root=False), compiles=True),
        ],
        random_scores,
    ),
    Task(
        "10 samples, chains of 20 labels",
        samples_of(LinearChain()),
        [
            Peer("torch-struct", "torch_struct", torch_struct_chain("sample")),
            Peer("synjax", "synjax", synjax_chain("sample"), compiles=True),
        ],
        random_chain_scores,
    ),
    Task(
        "10 best arborescences",
        best_of(NonprojectiveTree()),
        [Peer("networkx", "networkx", networkx_best)],
        random_scores,
    ),
    Task("10 best arborescences, single root", best_of(NonprojectiveTree(single_root=True)), [], random_scores),
    Task(
        "10 best projective trees",
        best_of(ProjectiveTree()),
        [
            Peer("supar", "supar.structs", supar_many("kmax")),
            Peer("torch-struct", "torch_struct", torch_struct_trees("DependencyCRF", "kmax")),
        ],
        random_scores,
    ),
    Task(
        "10 best chains of 20 labels",
        best_of(LinearChain()),
        [
            Peer("torch-struct", "torch_struct", torch_struct_chain("kmax")),
            Peer("synjax", "synjax", synjax_chain("top_k"), compiles=True),
        ],
        random_chain_scores,
    ),
    Task("10 best graphs, 58 labels", best_of(SemanticGraph()), [], random_graph_scores),
]


if __name__ == "__main__":
    main(TASKS, __doc__)
