"""What a parser tells beside its best structure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import torch

from spigot_allennlp.structures import Structure


@dataclass
class Extras:
    """
    What a parser is asked for in evaluation, beside its best structure.

    # Parameters

    probabilities : `bool`, optional (default = `False`)
        How probable the structure and each of its parts are, by the distribution `exp(scores . z)`.
    top_k : `int`, optional (default = `0`)
        How many of the best structures, best first.
    samples : `int`, optional (default = `0`)
        How many structures that are drawn from the distribution.
    generator : `torch.Generator`, optional (default = `None`)
        Draws the samples; by default, torch's own.
    """

    probabilities: bool = False
    top_k: int = 0
    samples: int = 0
    generator: Optional[torch.Generator] = None

    def check(self, structure: Structure) -> None:
        """Raises a `ConfigurationError` where the structure lacks what is asked for."""
        if self.probabilities:
            structure.require("marginals", "log_prob", by="scores")
        if self.top_k:
            structure.require("top_k", by="top_k")
        if self.samples:
            structure.require("sample", "log_prob", by="samples")

    def others(self, structure: Structure, scores: torch.Tensor, mask: torch.Tensor) -> dict[str, "Others"]:
        """The `alternatives` and the `samples` that are asked for."""
        found = {}
        scores = scores.detach()
        if self.top_k:
            structures, totals = structure.top_k(scores, mask, self.top_k)
            found["alternatives"] = Others(structures, totals)
        if self.samples:
            found["samples"] = Others(structure.sample(scores, mask, self.samples, self.generator))
        if "log_prob" in structure.operations():
            for others in found.values():
                others.log_probabilities = structure.log_prob(others.structures, scores, mask)
        return found


def head_probabilities(
    structure: Structure, scores: torch.Tensor, mask: torch.Tensor, predicted: torch.Tensor
) -> dict[str, torch.Tensor]:
    """
    How probable the heads of predicted trees are, by the distribution `exp(scores . z)` over all trees.

    # Parameters

    structure : `Structure`
    scores, predicted : `torch.Tensor`
        `(batch, length, length)`, `[modifier, head]`; the trees 0/1.
    mask : `torch.Tensor`
        `(batch, length)` bool.

    # Returns

    `dict[str, torch.Tensor]`
        `head_probabilities`, `(batch, length)`; `next_heads` int64 and `next_head_probabilities`, likewise, of the most
        probable among all other heads; `tree_probability`, `(batch,)`.
    """
    scores = scores.detach()
    marginals = structure.marginals(scores, mask)
    heads = predicted.argmax(dim=2, keepdim=True)
    # Also what rounding has left of impossible heads is less than any probability.
    others = marginals.scatter(2, heads, -1.0).max(dim=2)
    return {
        "head_probabilities": marginals.gather(2, heads).squeeze(2),
        "next_heads": others.indices,
        "next_head_probabilities": others.values.clamp(min=0.0),
        "tree_probability": structure.log_prob(predicted, scores, mask).exp(),
    }


def name_head_probabilities(output_dict: dict[str, Any], lengths: Sequence[int]) -> None:
    """
    Makes lists of what [`head_probabilities`](#head_probabilities) has found, one for each sentence, without ROOT. The
    next head is -1 where no other is possible.
    """
    if "head_probabilities" not in output_dict:
        return
    for name in ("head_probabilities", "next_head_probabilities", "next_heads"):
        rows = output_dict[name].tolist()
        output_dict[name] = [row[1:length] for row, length in zip(rows, lengths, strict=True)]
    for name in ("head_probabilities", "next_head_probabilities"):
        output_dict[name] = [list(map(rounded, row)) for row in output_dict[name]]
    output_dict["next_heads"] = [
        [head if probability else -1 for head, probability in zip(heads, probabilities, strict=True)]
        for heads, probabilities in zip(output_dict["next_heads"], output_dict["next_head_probabilities"], strict=True)
    ]
    output_dict["tree_probability"] = list(map(rounded, output_dict["tree_probability"]))


@dataclass
class Others:
    """
    Several structures of each sentence of a batch.

    # Parameters

    structures : `torch.Tensor`
        `(k, batch, …)`, 0/1.
    totals : `torch.Tensor`, optional (default = `None`)
        Their scores, `(k, batch)`, -inf where a sentence has no more structures.
    log_probabilities : `torch.Tensor`, optional (default = `None`)
        `(k, batch)`.
    readable : `list[list[dict[str, Any]]]`, optional (default = `[]`)
        Of each structure, what each sentence has in words.
    """

    structures: torch.Tensor
    totals: Optional[torch.Tensor] = None
    log_probabilities: Optional[torch.Tensor] = None
    readable: list[list[dict[str, Any]]] = field(default_factory=list)

    def by_sentence(self) -> list[list[dict[str, Any]]]:
        """Of each sentence, its structures in words, with their `score` and `probability` as far as these are known."""
        sentences: list[list[dict[str, Any]]] = [[] for _ in self.structures[0]]
        for k, batch in enumerate(self.readable):
            for sentence, (others, words) in enumerate(zip(sentences, batch, strict=True)):
                if self.totals is not None:
                    if self.totals[k, sentence] == -torch.inf:
                        continue
                    words["score"] = rounded(self.totals[k, sentence])
                if self.log_probabilities is not None:
                    words["probability"] = rounded(self.log_probabilities[k, sentence].exp())
                others.append(words)
        return sentences


def rounded(value: torch.Tensor | float) -> float:
    """A number of a few digits, however small it is."""
    return float(f"{float(value):.4g}")
