import itertools

import numpy as np
import torch

from spigot_allennlp.nn.decoding import fill_on_host
from spigot_allennlp.nn.errors import check_count, check_shapes, check_totals, raise_for_status
from spigot_allennlp.nn.kernels import FORBIDDEN
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.partition import Summation, log_partition_and_marginals, sum_on_host
from spigot_allennlp.nn.sampling import draw_options, draw_uniform
from spigot_allennlp.nn.scores import values_of_parts
from spigot_allennlp.nn.shapes import Bool, Float, Mask, Tensor, Totals
from spigot_allennlp.nn.simplex import project_onto_capped_simplex, project_onto_simplex
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch length length labels"]
Parts = Bool[Tensor, "batch length length labels"]
Samples = Float[Tensor, "samples batch length length labels"]


@Structure.register("constituency_tree")
class ConstituencyTree(Structure):
    """
    Binary phrase-structure trees over the tokens of a sentence, of which there is no ROOT. `scores` is
    `(batch, length, length, labels)`, indexed `[b, first, last, label]`, the worth of a labelled span, both ends
    included; cells with `first` after `last` are ignored.

    A tree of `n` tokens has `2 n - 1` spans: the tokens alone, the sentence, and what lies between, where every longer
    span is split into two. Each of them has exactly one label, so that no two trees have the same cells. Where spans
    are to go without a label (because a tree that is not binary was made so, or single tokens do not count), that is
    a label too, whose scores may be all 0. Tokens that the mask leaves out are passed over: a span is one of the tokens
    that it leaves.

    Registered as a `Structure` with name "constituency_tree".
    """

    cells = "labelled spans"

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """
        By the algorithm of [Cocke, Kasami and Younger](https://doi.org/10.1016/S0019-9958(67)80007-X) over the best
        labels, in `O(length^3 + length^2 labels)` time, serially on the CPU in float64. Of several best trees, any one.
        """
        from spigot_allennlp.nn.kernels.constituency_tree import maximum_binary_trees

        best, label = self._values(scores.detach(), mask).max(3)
        spans = fill_on_host(maximum_binary_trees, best, mask)
        return torch.zeros_like(scores).scatter_(3, label.unsqueeze(3), spans.to(scores.dtype).unsqueeze(3))

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """
        By the inside algorithm ([Baker, 1979](https://doi.org/10.1121/1.2017061)) over the sums of the labels, in
        `O(length^3 + length^2 labels)` time, computed in float64 with an exponent for each sum, so that it holds for
        scores of any spread.

        It is compiled and serial, on the CPU, with `O(length^2)` memory. Derivatives beyond the first one of the
        marginals are by torch operations, in `O(length^3)` memory.
        """
        return self.log_partition_and_marginals(scores, mask)[0]

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        """The gradient of `log_partition`, by the outside algorithm. Differentiable, and twice too, though slower."""
        return self.log_partition_and_marginals(scores, mask)[1]

    def log_partition_and_marginals(self, scores: Scores, mask: Mask) -> tuple[Totals, Scores]:
        values = self._values(scores, mask, to_be_summed=True).clamp(min=FORBIDDEN)
        log_z, spans = log_partition_and_marginals(_SUMMATION, values.logsumexp(3), mask)
        return log_z.to(scores.dtype), (spans.unsqueeze(3) * values.softmax(3)).to(scores.dtype)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """Spans from the top on, in proportion to the inside sums, and then their labels."""
        from spigot_allennlp.nn.kernels.constituency_tree import sample_binary_trees

        check_count("num_samples", num_samples)
        values = self._values(scores.detach(), mask, to_be_summed=True).clamp(min=FORBIDDEN)
        uniform = draw_uniform(num_samples, *mask.shape, like=scores, generator=generator)
        spans = uniform.new_zeros((*uniform.shape, mask.size(1)), device="cpu")
        arguments = (_forbid(values.logsumexp(3)), mask, uniform, spans)
        raise_for_status(*sample_binary_trees(*(argument.cpu().contiguous().numpy() for argument in arguments)))

        # Shape: (spans of all trees, 4)
        sample, sentence, first, last = spans.to(scores.device).nonzero().unbind(1)
        label = draw_options(values[sentence, first, last], 1, generator)[0]
        z = scores.new_zeros((num_samples, *scores.shape))
        z[sample, sentence, first, last, label] = 1
        return z

    def project_local(self, point: Scores, mask: Mask) -> Scores:
        """One label for every token alone and for the sentence, one at most for every other span, whatever crosses."""
        parts = self.parts(point, mask)
        ends = mask.cumsum(1)
        first, last = ends.unsqueeze(2), ends.unsqueeze(1)
        is_sure = (first == last) | (first == 1) & (last == ends[:, -1:].unsqueeze(2))
        sure = project_onto_simplex(point, parts & is_sure.unsqueeze(3))
        return sure + project_onto_capped_simplex(point, parts & ~is_sure.unsqueeze(3))

    def parts(self, scores: Scores, mask: Mask) -> Parts:
        check_shapes(scores, mask, "batch", "length", "length", "labels")
        in_order = torch.ones_like(mask).unsqueeze(2) & mask.unsqueeze(1)
        return (in_order.triu() & mask.unsqueeze(2)).unsqueeze(3).expand_as(scores)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """There is a derivation of the sentence, the items of which are the spans."""
        rules = LinearRules()
        cells = cell_numbers(parts)
        tokens = parts.any((1, 2)).nonzero()[0]
        if len(tokens):
            spans = {
                (i, j): list(cells[tokens[i], tokens[j]])
                for i, j in itertools.combinations_with_replacement(range(len(tokens)), 2)
            }
            edges = (((i, j), ((i, k), (k + 1, j))) for i, j in spans for k in range(i, j))
            rules.add_derivation(edges, spans, (0, len(tokens) - 1))
        return rules

    def _values(self, scores: torch.Tensor, mask: torch.Tensor, to_be_summed: bool = False) -> torch.Tensor:
        return values_of_parts(scores, self.parts(scores, mask), to_be_summed)


def _forbid(sums: torch.Tensor) -> torch.Tensor:
    return sums.masked_fill(sums < FORBIDDEN / 2, -torch.inf)


def _sum_over_trees(
    scores: torch.Tensor, mask: torch.Tensor, direction: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers of a [`Summation`](../nn/partition.md) of the scores of spans, `(batch, length, length)`."""
    from spigot_allennlp.nn.kernels.constituency_tree import sum_over_binary_trees

    return sum_on_host(sum_over_binary_trees, _forbid(scores.detach()), mask, direction=direction)


def _sum_in_log_space(scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """`log Z` and the marginals, with gradients if scores need one."""
    create_graph = scores.requires_grad
    with torch.enable_grad():
        scores = scores if create_graph else scores.detach().requires_grad_()
        log_z = _inside(scores, mask)
        (marginals,) = torch.autograd.grad(log_z.sum(), scores, create_graph=create_graph)
    return log_z.detach(), marginals


def _inside(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The recurrences of [`maximum_binary_trees`](../nn/kernels/constituency_tree.md), with sums for maxima."""
    batch_size, length = mask.shape
    rows = torch.arange(batch_size, device=mask.device)
    # Positions that are present first, padding after them.
    order = mask.int().argsort(dim=1, descending=True, stable=True)
    # Shape: (batch, length, length)
    score = scores[rows.view(-1, 1, 1), order.unsqueeze(2), order.unsqueeze(1)]
    # Charts over spans, by width less 1 and first position, or by width less 1 and last position.
    by_first, by_last = torch.full_like(score, FORBIDDEN), torch.full_like(score, FORBIDDEN)
    for width in range(length):
        spans = length - width
        span = score.diagonal(width, 1, 2)
        if width:
            # Shape: (batch, width, spans)
            split = by_first[:, :width, :spans] + by_last[:, :width, width:].flip(1)
            span = span + split.logsumexp(1)
        by_first[:, width, :spans] = by_last[:, width, width:] = span
    size = mask.sum(1)
    log_z = by_first[rows, size.clamp(min=1) - 1, 0] if length else scores.sum((1, 2))
    log_z = log_z.where(size > 0, scores.sum((1, 2)) * 0)
    check_totals(log_z, 2 * length)
    return log_z


_SUMMATION = Summation(_sum_over_trees, _sum_in_log_space)
