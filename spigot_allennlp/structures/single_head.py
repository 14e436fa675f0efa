import torch

from spigot_allennlp.nn.arcs import arc_mask, check_arc_shapes
from spigot_allennlp.nn.decoding import one_hot
from spigot_allennlp.nn.errors import check_count, no_structure, not_a_score
from spigot_allennlp.nn.k_best import k_best_sums
from spigot_allennlp.nn.sampling import draw_options
from spigot_allennlp.nn.shapes import BestTotals, Mask, Totals
from spigot_allennlp.structures.heads import Best, Heads, Samples, Scores
from spigot_allennlp.structures.structure import Structure


@Structure.register("single_head")
class SingleHead(Heads):
    """
    Every token picks one head, whatever the others pick, so that cycles may come out. The polytope is a product of
    simplexes, for which `project_local` is exact. For `scores` see [`Heads`](./heads.md).

    Registered as a `Structure` with name "single_head".
    """

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        scores = scores.detach()
        choices, has_choice = _choices(scores, mask)
        chosen = has_choice.unsqueeze(2).to(scores.dtype)
        return torch.zeros_like(scores).scatter_(2, choices.argmax(dim=2, keepdim=True), chosen)

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        choices, has_choice = _choices(scores, mask)
        return (choices.logsumexp(dim=2) * has_choice).sum(dim=1).to(scores.dtype)

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        choices, has_choice = _choices(scores, mask)
        return (choices.softmax(dim=2) * has_choice.unsqueeze(2)).to(scores.dtype)

    def project(self, point: Scores, mask: Mask) -> Scores:
        _choices(point.detach(), mask)
        return self.project_local(point, mask)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """Token by token."""
        check_count("num_samples", num_samples)
        choices, has_choice = _choices(scores.detach().double(), mask)
        heads = draw_options(choices, num_samples, generator)
        return one_hot(heads.where(has_choice, -1), like=scores)

    def top_k(self, scores: Scores, mask: Mask, k: int) -> tuple[Best, BestTotals]:
        """By joining the best heads of tokens, then those of pairs of tokens, and so on."""
        check_count("k", k)
        choices, has_choice = _choices(scores.detach().double(), mask)
        # A position without a choice has one way to be, worth 0.
        choices[..., 1:].masked_fill_(~has_choice.unsqueeze(2), -torch.inf)
        totals, heads = k_best_sums(choices, k)
        is_there = has_choice.unsqueeze(1) & (totals > -torch.inf).unsqueeze(2)
        return one_hot(heads.where(is_there, -1).transpose(0, 1), like=scores), totals.t().to(scores.dtype)


def _choices(scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The scores of each token's heads, in at least float32, with -inf where there is no arc, or zeros for a position that
    has none at all; and which positions have any, `(batch_size, length)` bool.
    """
    check_arc_shapes(scores, mask)
    arcs = arc_mask(mask)
    choices = scores.to(torch.promote_types(scores.dtype, torch.float32)).where(arcs, float("-inf"))
    # Shape: (batch_size, length). NaN and +inf come through the maximum.
    best, has_choice = choices.detach().amax(dim=2), arcs.any(dim=2)
    if not (usable := best < float("inf")).all():
        raise not_a_score(int((~usable).any(dim=1).int().argmax()))
    if (headless := has_choice & (best == float("-inf"))).any():
        raise no_structure(int(headless.any(dim=1).int().argmax()))
    return choices.where(has_choice.unsqueeze(2), 0.0), has_choice
