import torch

from spigot_allennlp.nn.arcs import arc_mask, check_arc_shapes
from spigot_allennlp.nn.errors import no_structure, not_a_score
from spigot_allennlp.structures.heads import Heads
from spigot_allennlp.structures.structure import Structure


@Structure.register("single_head")
class SingleHead(Heads):
    """
    Every token picks one head, whatever the others pick, so that cycles may come out. The polytope is a product of
    simplexes, for which `project_local` is exact. For `scores` see [`Heads`](./heads.md).

    Registered as a `Structure` with name "single_head".
    """

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        scores = scores.detach()
        choices, has_choice = _choices(scores, mask)
        chosen = has_choice.unsqueeze(2).to(scores.dtype)
        return torch.zeros_like(scores).scatter_(2, choices.argmax(dim=2, keepdim=True), chosen)

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        choices, has_choice = _choices(scores, mask)
        return (choices.logsumexp(dim=2) * has_choice).sum(dim=1).to(scores.dtype)

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        choices, has_choice = _choices(scores, mask)
        return (choices.softmax(dim=2) * has_choice.unsqueeze(2)).to(scores.dtype)

    def project(self, point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        _choices(point.detach(), mask)
        return self.project_local(point, mask)


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
