"""
Whether what a method sends back through a tree asks for the gold tree: many methods on one trained pipeline, by hand.

    python -m benchmarks.gradient_direction output/few_trees/model.tar.gz dev.sdp

For each method the cosine between what stands for the gradient of the second stage's loss on the first stage's scores,
and the gradient of the loss of gold trees: its mean ± the standard error and the number of sentences, over all to which
something comes back, and over those of them whose best tree is wrong, and right. Weights are the same for all methods,
and nothing is trained.
"""

import argparse
from statistics import mean, stdev

import torch
from allennlp.common import Params
from allennlp.models import load_archive

import spigot_allennlp.plugin  # noqa: F401
from spigot_allennlp.surrogates import StructuredArgmax
from spigot_allennlp.training.latent import find_layer, read_latent

METHODS = {
    "spigot": {"type": "spigot"},
    "spigot, not clipped": {"type": "spigot", "max_gradient_norm": None},
    "spigot, polytope exact": {"type": "spigot", "polytope": "exact"},
    "straight_through": {"type": "straight_through"},
    "spigot_ce": {"type": "spigot_ce", "max_gradient_norm": 1.0},
    "spigot_ce, relaxed": {"type": "spigot_ce", "max_gradient_norm": 1.0, "relaxed": True},
    "spigot_eg": {"type": "spigot_eg", "max_gradient_norm": 1.0},
    "spigot_eg, not clipped": {"type": "spigot_eg", "max_gradient_norm": None},
    "spigot_eg, step 0.01": {"type": "spigot_eg", "step_size": 0.01, "max_gradient_norm": 1.0},
    "structured_attention": {"type": "structured_attention", "hard_at_test": False},
}


def summary(cosines: list[float]) -> str:
    if len(cosines) < 2:
        return "-"
    return f"{mean(cosines):.3f} ± {stdev(cosines) / len(cosines) ** 0.5:.3f} ({len(cosines)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="of a pipeline from trees to graphs")
    parser.add_argument("data", help="sentences with graphs and trees, as its validation reader reads them")
    parser.add_argument("--threads", type=int, default=1, help="threads that torch may use")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    archive = load_archive(arguments.archive)
    instances = list(archive.validation_dataset_reader.read(arguments.data))
    layer = find_layer(archive.model)
    if layer is None:
        parser.error(f"expected a pipeline in {arguments.archive}, found {type(archive.model).__name__}")

    print(f"{'':24}{'all':>22}{'best tree wrong':>22}{'best tree right':>22}")
    for name, settings in METHODS.items():
        archive.model.intermediate = StructuredArgmax.from_params(Params({**settings}), structure=layer.structure)
        found = [latent for latent in read_latent(archive.model, instances) if latent.cosine is not None]
        parts = [[], []]
        for latent in found:
            parts[latent.cells == latent.gold].append(latent.cosine)
        print(f"{name:24}" + "".join(f"{summary(part):>22}" for part in (parts[0] + parts[1], *parts)), flush=True)


if __name__ == "__main__":
    main()
