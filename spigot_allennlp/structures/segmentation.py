import numpy as np
import torch
from torch.nn.functional import pad

from spigot_allennlp.nn.decoding import fill_on_host
from spigot_allennlp.nn.errors import check_count, check_shapes, check_totals
from spigot_allennlp.nn.kernels import FORBIDDEN
from spigot_allennlp.nn.linear_rules import LinearRules, cell_numbers
from spigot_allennlp.nn.sampling import draw_options
from spigot_allennlp.nn.scores import values_of_parts
from spigot_allennlp.nn.shapes import Bool, Float, Mask, Tensor, Totals
from spigot_allennlp.nn.simplex import project_onto_capped_simplex, project_onto_simplex
from spigot_allennlp.structures.structure import Structure

Scores = Float[Tensor, "batch length widths labels"]
Parts = Bool[Tensor, "batch length widths labels"]
Samples = Float[Tensor, "samples batch length widths labels"]


@Structure.register("segmentation")
class Segmentation(Structure):
    """
    Sentences cut into segments, each with one label, as chunks and names are. `scores` is
    `(batch, length, max_width, labels)`, indexed `[b, first, width - 1, label]`, the worth of a segment; labels do not
    see their neighbours, as in a semi-Markov CRF ([Sarawagi & Cohen, 2004](https://papers.nips.cc/paper/2648)) of order
    zero. There is no ROOT. Every token is in one segment, so that what is outside of all names is a segment too.

    Tokens that the mask leaves out are passed over: the width counts those that it leaves. Segments that would end
    behind the sentence are ignored.

    Registered as a `Structure` with name "segmentation".
    """

    cells = "labelled segments"

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """
        Segment by segment from the left, over the best labels: `O(length max_width labels)` time, serially on the CPU
        in float64. Of several best segmentations, any one.
        """
        from spigot_allennlp.nn.kernels.segmentation import maximum_segmentations

        best, label = self._values(scores.detach(), mask).max(3)
        order = _order(mask)
        in_order = fill_on_host(maximum_segmentations, _take(best, order), mask.sum(1))
        segments = torch.zeros_like(in_order).scatter_(1, order.unsqueeze(2).expand_as(in_order), in_order)
        return torch.zeros_like(scores).scatter_(3, label.unsqueeze(3), segments.to(scores.dtype).unsqueeze(3))

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """By the forward algorithm in float64, in `O(length max_width labels)` time."""
        values = self._values(scores, mask, to_be_summed=True).clamp(min=FORBIDDEN)
        sums = _forward(_by_end(_take(values.logsumexp(3), _order(mask))))
        return _checked_total(sums, mask).to(scores.dtype)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """Segments from the right, in proportion to what they add to the forward sums, and then their labels."""
        check_count("num_samples", num_samples)
        values = self._values(scores.detach(), mask, to_be_summed=True).clamp(min=FORBIDDEN)
        order = _order(mask)
        by_end = _by_end(_take(values.logsumexp(3), order))
        sums = _forward(by_end)
        max_width = by_end.size(2)
        # What the segment that ends at a position adds, by its width from the largest down.
        # Shape: (batch, length + 1, max_width)
        worth = pad(sums, (max_width, 0), value=FORBIDDEN).unfold(1, max_width, 1)[:, :-1] + by_end
        _checked_total(sums, mask)

        z = scores.new_zeros((num_samples, *scores.shape))
        # Shape: (num_samples, batch)
        end = mask.sum(1).expand(num_samples, -1)
        while (active := end > 0).any():
            sample, sentence = active.nonzero().unbind(1)
            here = end[active]
            chosen = draw_options(worth[sentence, here], 1, generator)[0]
            width = max_width - chosen
            first = order[sentence, here - width]
            label = draw_options(values[sentence, first, width - 1], 1, generator)[0]
            z[sample, sentence, first, width - 1, label] = 1
            end = end.masked_scatter(active, here - width)
        return z

    def project_local(self, point: Scores, mask: Mask) -> Scores:
        """One segment begins at the first token and one at most at every other, however far they reach."""
        parts = self.parts(point, mask).flatten(2)
        is_first = (mask.cumsum(1) == 1).unsqueeze(2)
        first = project_onto_simplex(point.flatten(2), parts & is_first)
        return (first + project_onto_capped_simplex(point.flatten(2), parts & ~is_first)).view(point.shape)

    def parts(self, scores: Scores, mask: Mask) -> Parts:
        check_shapes(scores, mask, "batch", "length", "max_width", "labels")
        tokens_left = mask.flip(1).cumsum(1).flip(1)
        fits = torch.arange(scores.size(2), device=mask.device) < tokens_left.unsqueeze(2)
        return (fits & mask.unsqueeze(2)).unsqueeze(3).expand_as(scores)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """Every token is in one segment."""
        rules = LinearRules()
        cells = cell_numbers(parts)
        tokens = parts.any((1, 2)).nonzero()[0]
        for rank in range(len(tokens)):
            # A segment that begins `back` tokens before this one reaches it if it is wider than that.
            backs = range(min(rank + 1, parts.shape[1]))
            covering = [cells[tokens[rank - back], back:][parts[tokens[rank - back], back:]] for back in backs]
            rules.add(np.concatenate(covering), lower=1, upper=1)
        return rules

    def _values(self, scores: torch.Tensor, mask: torch.Tensor, to_be_summed: bool = False) -> torch.Tensor:
        return values_of_parts(scores, self.parts(scores, mask), to_be_summed)


def _order(mask: torch.Tensor) -> torch.Tensor:
    """The positions of the tokens, and after them those of the padding, `(batch, length)`."""
    return mask.int().argsort(dim=1, descending=True, stable=True)


def _take(values: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return values.gather(1, order.unsqueeze(2).expand_as(values))


def _by_end(values: torch.Tensor) -> torch.Tensor:
    """
    From the worth of segments by their first position and width, `(batch, length, max_width)`, that by the position
    before which they end, `(batch, length + 1, max_width)`, the largest width first.
    """
    _, length, max_width = values.shape
    widths = torch.arange(max_width, 0, -1, device=values.device)
    first = torch.arange(length + 1, device=values.device).unsqueeze(1) - widths
    return pad(values, (0, 0, 0, 1), value=FORBIDDEN)[:, first.where(first >= 0, length), widths - 1]


def _forward(by_end: torch.Tensor) -> torch.Tensor:
    """The log-sums over all segmentations of what is before each position, `(batch, length + 1)`."""
    max_width = by_end.size(2)
    start = by_end[:, :0].sum((1, 2))
    sums = [start + FORBIDDEN] * (max_width - 1) + [start]
    for worth in by_end.unbind(1)[1:]:
        sums.append((torch.stack(sums[-max_width:], 1) + worth).logsumexp(1))
    return torch.stack(sums[max_width - 1 :], 1)


def _checked_total(sums: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    total = sums.gather(1, mask.sum(1, keepdim=True)).squeeze(1)
    check_totals(total, mask.size(1))
    return total
