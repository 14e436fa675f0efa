"""
What each `StructuredArgmax` costs, forward and backward, on each kind of tree: one table, by hand.

    python -m benchmarks.layer --lengths 10 30 60 100

Batches of equally long sentences with random scores and a random gradient; the lengths do not count ROOT. Each cell is
the median time of a batch in milliseconds.
"""

import torch

from benchmarks.peers import Function
from benchmarks.table import median_ms, options
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree, SingleHead, Structure
from spigot_allennlp.surrogates import PerturbAndMap, Spigot, StructuredArgmax

STRUCTURES: dict[str, Structure] = {
    "single_head": SingleHead(),
    "nonprojective_tree": NonprojectiveTree(single_root=True),
    "projective_tree": ProjectiveTree(single_root=True),
}


def layers(structure: Structure) -> dict[str, StructuredArgmax]:
    named = {
        name: StructuredArgmax.by_name(name)(structure=structure)
        for name in sorted(StructuredArgmax.list_available())
        if name != "perturb_and_map"
    }
    named["perturb_and_map, spigot"] = PerturbAndMap(Spigot(structure))
    named["spigot, exact"] = Spigot(structure, polytope="exact")
    return named


def forward_and_backward(layer: StructuredArgmax, gradient: torch.Tensor) -> Function:
    def step(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores.grad = None
        z = layer(scores, mask)
        if z.requires_grad:
            z.backward(gradient)
        return z

    return step


def main() -> None:
    arguments = options(__doc__)
    print(f"{'structure':20}{'layer':26}" + "".join(f"{length:>12}" for length in arguments.lengths))
    for name, structure in STRUCTURES.items():
        for layer_name, layer in layers(structure).items():
            if arguments.only not in layer_name:
                continue
            cells = []
            for length in arguments.lengths:
                generator = torch.Generator().manual_seed(length)
                shape = (arguments.batch_size, length + 1, length + 1)
                scores, gradient = (torch.randn(shape, generator=generator).to(arguments.device) for _ in range(2))
                mask = torch.ones(shape[:2], dtype=torch.bool, device=arguments.device)
                time = median_ms(forward_and_backward(layer, gradient), scores.requires_grad_(), mask)
                cells.append(f"{time:12.3f}")
            print(f"{name:20}{layer_name:26}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
