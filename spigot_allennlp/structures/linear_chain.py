import itertools

import numpy as np
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.nn.chain_hull import project_onto_sequences
from spigot_allennlp.nn.chain_labels import mix_sequences
from spigot_allennlp.nn.decoding import k_best_on_host, one_hot, sample_on_host
from spigot_allennlp.nn.errors import check_scores, check_shapes, check_totals, no_structure
from spigot_allennlp.nn.kernels import FORBIDDEN
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.shapes import BestTotals, Bool, Float, Mask, Tensor, Totals
from spigot_allennlp.nn.simplex import project_onto_simplex
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch length labels labels"]
Parts = Bool[Tensor, "batch length labels labels"]
Samples = Float[Tensor, "samples batch length labels labels"]
Best = Float[Tensor, "k batch length labels labels"]


@Structure.register("linear_chain")
class LinearChain(Structure):
    """
    A label for every token, scored together with the label before it, as in a linear-chain CRF. `scores` is
    `(batch, length, labels, labels)`, indexed `[b, position, previous, current]`. There is no ROOT. The predecessor is
    the nearest token to the left, whatever the mask leaves out in between. The first token of a sentence has none: its
    cells are those with `previous` 0, and its others are ignored in inputs and 0 in outputs, as padding is. A sequence
    thus has one cell per token. To have the labels alone, sum a structure over `previous`.

    Registered as a `Structure` with name "linear_chain".

    # Parameters

    penalised : `str`, optional (default = `"pairs"`)
        What SparseMAP penalises by half its square: "pairs", so that its answer is the nearest point of the hull; or
        "labels", as it was published: only the labels, the unaries of the chain's factor graph, which are the pairs
        summed over the previous label. Projections, such as those of SPIGOT, penalise pairs either way, and so does
        SparseMAP of [`constrained`](./constrained.md) sequences.
    """

    cells = "label pairs"

    def __init__(self, penalised: str = "pairs") -> None:
        if penalised not in ("pairs", "labels"):
            raise ConfigurationError(f"penalised must be 'pairs' or 'labels', but is {penalised!r}")
        self.penalised = penalised

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """
        By the algorithm of [Viterbi, 1967](https://doi.org/10.1109/TIT.1967.1054010), in time `O(length labels^2)`. Of
        several best sequences, any one.
        """
        values = _checked_values(scores.detach(), mask)
        # The token before the first counts as one with label 0. Shape: (batch, labels)
        best = _start(values, -torch.inf)
        previous_labels = []
        for position, is_token in enumerate(mask.unbind(1)):
            extended, previous = (best.unsqueeze(2) + values[:, position]).max(1)
            best = extended.where(is_token.unsqueeze(1), best)
            previous_labels.append(previous)
        total, label = best.max(1)
        for sentence in (total == -torch.inf).nonzero():
            raise no_structure(int(sentence))

        z = torch.zeros_like(scores)
        sentences = torch.arange(len(scores), device=scores.device)
        for position in reversed(range(len(previous_labels))):
            is_token = mask[:, position]
            previous = previous_labels[position][sentences, label]
            z[sentences, position, previous, label] = is_token.to(z.dtype)
            label = previous.where(is_token, label)
        return z

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """By the forward algorithm in float64."""
        values = _values_to_be_summed(scores, mask)
        return _checked_total(_forward(values, mask)[-1], mask).to(scores.dtype)

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        """
        By the forward-backward algorithm ([Rabiner, 1989](https://doi.org/10.1109/5.18626), section III.A) in float64.
        """
        values = _values_to_be_summed(scores, mask)
        forward = _forward(values, mask)
        total = _checked_total(forward.pop(), mask)
        if not forward:
            return torch.zeros_like(scores)
        # What can come after a position, given its label. Shape of each: (batch, labels)
        backward = [torch.zeros_like(total).unsqueeze(1).expand(-1, scores.size(3))]
        for position in reversed(range(1, scores.size(1))):
            extended = (values[:, position] + backward[-1].unsqueeze(1)).logsumexp(2)
            backward.append(extended.where(mask[:, position].unsqueeze(1), backward[-1]))
        before = torch.stack(forward, 1).unsqueeze(3)
        after = torch.stack(backward[::-1], 1).unsqueeze(2)
        marginals = (before + values + after - total.view(-1, 1, 1, 1)).exp()
        return marginals.masked_fill(~_parts(scores, mask), 0).to(scores.dtype)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """From the last label to the first, by the sums of the forward algorithm, on the CPU."""
        from spigot_allennlp.nn.kernels.chain import sample_chains

        values = _checked_values(scores.detach(), mask)
        pairs = sample_on_host(sample_chains, values, mask, num_samples=num_samples, generator=generator)
        return one_hot(pairs, like=scores.flatten(2)).view(num_samples, *scores.shape)

    def top_k(self, scores: Scores, mask: Mask, k: int) -> tuple[Best, BestTotals]:
        """From the last label to the first, best first, by the sums of Viterbi's algorithm, on the CPU."""
        from spigot_allennlp.nn.kernels.chain import k_best_chains

        pairs, totals = k_best_on_host(k_best_chains, _checked_values(scores.detach(), mask), mask, k=k)
        return one_hot(pairs, like=scores.flatten(2)).view(k, *scores.shape), totals.to(scores.dtype)

    def project(self, point: Scores, mask: Mask) -> Scores:
        """By Newton steps over flows: see [`nn/chain_hull.py`](../nn/chain_hull.md)."""
        return project_onto_sequences(point, mask, self.argmax)

    def sparsemap(self, scores: Scores, mask: Mask) -> Scores:
        """
        Where labels are penalised, `argmax_x  scores . x - ||labels(x)||^2 / 2` over the hull, as [Niculae et al.,
        2018](https://arxiv.org/abs/1802.04223) have it: see [`nn/chain_labels.py`](../nn/chain_labels.md).
        """
        return mix_sequences(scores, mask) if self.penalised == "labels" else self.project(scores, mask)

    def project_local(self, point: Scores, mask: Mask) -> Scores:
        """One pair of labels per token, whether or not it agrees with the pair of the token before."""
        parts = self.parts(point, mask)
        return project_onto_simplex(point.flatten(2), parts.flatten(2)).view(point.shape)

    def parts(self, scores: Scores, mask: Mask) -> Parts:
        return _parts(scores, mask)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """One pair of labels for every token, which begins with the label that the pair of the token before ends in."""
        rules = LinearRules()
        cells = cell_numbers(parts)
        tokens = parts.any((1, 2)).nonzero()[0]
        for position in tokens[:1]:
            rules.add(cells[position, 0], lower=1, upper=1)
        for before, position in itertools.pairwise(tokens):
            for label in range(parts.shape[1]):
                rules.add(cells[position, label], lower=0, upper=0, minus=cells[before, :, label])
        return rules


def _parts(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Which cells a sequence may use: bool, of the shape of `scores`, which is checked."""
    check_shapes(scores, mask, "batch", "length", "labels", "labels")
    first = mask & (mask.cumsum(1) == 1)
    follows_nothing = torch.arange(scores.size(2), device=mask.device) == 0
    # Shape: (batch, length, labels, 1)
    parts = mask.unsqueeze(2) & (~first.unsqueeze(2) | follows_nothing)
    return parts.unsqueeze(3).expand_as(scores)


def _checked_values(scores: torch.Tensor, mask: torch.Tensor, to_be_summed: bool = False) -> torch.Tensor:
    """The scores of the parts, float64, and -inf elsewhere."""
    values = scores.double().masked_fill(~_parts(scores, mask), -torch.inf)
    check_scores(values, to_be_summed)
    return values


def _values_to_be_summed(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same, with `FORBIDDEN`, a finite number, in place of -inf: no gradient of a sum is NaN then."""
    return _checked_values(scores, mask, to_be_summed=True).clamp(min=FORBIDDEN)


def _start(values: torch.Tensor, nothing: float) -> torch.Tensor:
    """Before the first token there is label 0, and at no cost: `(batch, labels)`."""
    start = values.new_full((len(values), values.size(3)), nothing)
    start[:, 0] = 0
    return start


def _forward(values: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """The log-sums, `(batch, labels)`, over all that comes before each position, and at last over all there is."""
    forward = [_start(values, FORBIDDEN)]
    for position, is_token in enumerate(mask.unbind(1)):
        extended = (forward[-1].unsqueeze(2) + values[:, position]).logsumexp(1)
        forward.append(extended.where(is_token.unsqueeze(1), forward[-1]))
    return forward


def _checked_total(last: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    total = last.logsumexp(1)
    check_totals(total, mask.size(1))
    return total
