"""
The labels of one predicate's arguments, when some labels are deterministic: a predicate may use them only once. The
best choice, and the projection onto the convex hull of all choices.

Axes throughout: `scores[predicate, argument, label]`; `possible[predicate, argument]`, bool, says which arguments may
get a label; `deterministic[label]`, bool, which labels may be used once.
"""

from typing import Any

import numpy as np
import torch

from spigot_allennlp.nn.active_set import project_onto_hull
from spigot_allennlp.nn.shapes import Bool, Float, Tensor

Weights = Float[Tensor, "predicates arguments labels"]
Arguments, Labels = Bool[Tensor, "predicates arguments"], Bool[Tensor, " labels"]

# Sums of weights this near to 1 are at their bound.
TIGHT = 1e-6
# Makes a singular system regular; what it adds is below rounding where it matters.
RIDGE = 1e-10


def assign_labels(
    scores: torch.Tensor, possible: torch.Tensor, deterministic: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The best choice of labels, and what each is worth, both `(predicates, arguments)`, int64 and float64. An argument
    that is better off without a label is worth 0. The algorithm, [`assign_labels`
    ](kernels/label_assignment.md#assign_labels), runs on the CPU.
    """
    from spigot_allennlp.nn.kernels.label_assignment import assign_labels

    label, worth = assign_labels(*_on_host(scores, possible, deterministic))
    return torch.from_numpy(label).to(scores.device), torch.from_numpy(worth).to(scores.device)


def k_best_labels(
    scores: torch.Tensor, possible: torch.Tensor, deterministic: torch.Tensor, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    The `k` best choices of labels, best first: `(predicates, k, arguments)` int64, -1 for none, and what they are
    worth, `(predicates, k)` float64, -inf where there are fewer. The algorithm,
    [`k_best_labels`](kernels/k_best_labels.md#k_best_labels), runs on the CPU.
    """
    from spigot_allennlp.nn.kernels.k_best_labels import k_best_labels

    labels = torch.full((len(scores), k, scores.size(1)), -1)
    totals = torch.full((len(scores), k), -torch.inf, dtype=torch.double)
    k_best_labels(*_on_host(scores, possible, deterministic), labels.numpy(), totals.numpy())
    return labels.to(scores.device), totals.to(scores.device)


def label_indicators(label: torch.Tensor, on: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A 0/1 tensor like `like`, `(..., labels)`: 1 at the `label` of every argument that is `on`, both `(...)`."""
    return torch.zeros_like(like).scatter_(-1, label.unsqueeze(-1), on.unsqueeze(-1).to(like.dtype))


def project_onto_label_assignments(point: Weights, possible: Arguments, deterministic: Labels) -> Weights:
    """
    The nearest point of the convex hull of all choices, `argmin_z ||z - point||^2` subject to

        z >= 0,  sum_label z <= 1 per argument,  sum_argument z <= 1 per deterministic label,

    to 1e-6. The multipliers of these sums are found in turns, which suits points inside the hull (see
    [`project_onto_label_assignments`](kernels/label_assignment_hull.md)); predicates for which that is not exact soon,
    as it happens near vertices, take the [active-set method](active_set.md) with the argmax above.

    `point` is `(predicates, arguments, labels)`, any floating dtype; the result is like it, and differentiable.
    """
    return _HullProjection.apply(point, possible, deterministic)


class _HullProjection(torch.autograd.Function):
    """
    While the same weights are positive and the same sums at their bound, the projection is linear: onto the changes
    that leave these sums and the other weights alone. Its Jacobian is symmetric, and also that projection.
    """

    @staticmethod
    def forward(ctx: Any, point: torch.Tensor, possible: torch.Tensor, deterministic: torch.Tensor) -> torch.Tensor:
        from spigot_allennlp.nn.kernels.label_assignment_hull import project_onto_label_assignments

        projection = torch.zeros(point.shape, dtype=torch.float64)
        done = project_onto_label_assignments(*_on_host(point, possible, deterministic), projection.numpy())
        projection = projection.to(point.device)
        rest = torch.from_numpy(~done).to(point.device)
        if rest.any():

            def argmax(direction: torch.Tensor, possible: torch.Tensor) -> torch.Tensor:
                label, worth = assign_labels(direction, possible, deterministic)
                return label_indicators(label, worth > 0, like=direction)

            projection[rest] = project_onto_hull(point[rest].double(), argmax, possible[rest]).projection
        ctx.save_for_backward(projection, deterministic)
        return projection.to(point.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        projection, deterministic = ctx.saved_tensors
        return project_onto_face(d_projection, projection, deterministic), None, None


def project_onto_face(gradient: torch.Tensor, projection: torch.Tensor, bounded: torch.Tensor) -> torch.Tensor:
    """
    The change nearest to `gradient` that leaves alone what is 0 in `projection`, both `(batch, rows, columns)`, and
    those sums that are at their bound, 1. Sums of rows have one, and sums of columns that are `bounded`, `(columns,)`
    bool. This is the product of the gradient with the Jacobian of the projection.
    """
    positive = (projection > 0).double()
    # Which sums, those of rows and then those of columns, are at their bound. Shape: (batch, sums)
    tight = torch.cat((projection.sum(2) > 1 - TIGHT, (projection.sum(1) > 1 - TIGHT) & bounded), 1).double()
    support = gradient.double() * positive
    # The multipliers of the tight sums solve `gram multipliers = sums of the gradient`; two sums share a weight.
    top = torch.cat((torch.diag_embed(positive.sum(2)), positive), 2)
    bottom = torch.cat((positive.transpose(1, 2), torch.diag_embed(positive.sum(1))), 2)
    gram = torch.cat((top, bottom), 1) * tight.unsqueeze(1) * tight.unsqueeze(2)
    # Multipliers that are free, because not tight or because others can stand in for them, may be anything.
    gram += RIDGE * torch.eye(gram.size(1), dtype=gram.dtype, device=gram.device)
    sums = torch.cat((support.sum(2), support.sum(1)), 1) * tight
    by_row, by_column = torch.linalg.solve(gram, sums).split(projection.shape[1:], 1)
    return ((support - by_row.unsqueeze(2) - by_column.unsqueeze(1)) * positive).to(gradient.dtype)


def _on_host(values: torch.Tensor, *masks: torch.Tensor) -> list[np.ndarray]:
    """Contiguous arrays, the first float64: each further layout or type would be compiled anew."""
    return [tensor.cpu().contiguous().numpy() for tensor in (values.double(), *masks)]
