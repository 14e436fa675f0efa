"""
Projections of label weights: an argument of a predicate has each label with some weight, and one label at most in all.

Axes throughout: `point[..., argument, label]`. Where `possible` is False, there is no weight.
"""

import torch

from spigot_allennlp.nn.shapes import Float, Tensor
from spigot_allennlp.nn.simplex import project_onto_simplex

Switch, Weights = Float[Tensor, "*rows"], Float[Tensor, "*rows arguments labels"]


def project_onto_label_simplices(point: Weights, possible: torch.Tensor) -> Weights:
    """
    `argmin_z ||z - point||^2  s.t.  z >= 0, sum_label z <= 1` for every argument: negative weights are clipped, and
    where the rest then exceeds 1 in sum, the simplex is the nearest face. Differentiable.

    `possible` is bool and can be broadcast to the shape of `point`; the result is like `point`.
    """
    projection = point.clamp(min=0).masked_fill(~possible, 0)
    crowded = projection.sum(-1) > 1
    projection[crowded] = project_onto_simplex(projection[crowded], crowded.new_ones(()))
    return projection


def project_arcs_then_labels(point: Weights, possible: torch.Tensor) -> Weights:
    """
    Not the nearest point of the same polytope, but one that is found in two steps: the weight of an argument, the sum
    of its labels, is clipped to `[0, 1]`, and then the labels are projected onto the simplex of that size. Parameters
    and result are those of [`project_onto_label_simplices`](#project_onto_label_simplices).
    """
    # A label that -inf forbids has no weight; NaN stays NaN.
    allowed = possible & (point != -torch.inf)
    point = point.masked_fill(~allowed, 0)
    weight = point.sum(-1).clamp(0, 1)
    on = ~(weight <= 0)
    # The simplex of size w is w times the simplex.
    size = weight[on].unsqueeze(-1)
    projection = torch.zeros_like(point)
    projection[on] = size * project_onto_simplex(point[on] / size, allowed[on])
    return projection


def project_onto_switched_label_simplices(
    switch: Switch, point: Weights, possible: torch.Tensor
) -> tuple[Switch, Weights]:
    """
    As [`project_onto_label_simplices`](#project_onto_label_simplices), where a switch `t` bounds what every argument of
    a predicate has:

        argmin_{t, z} (t - switch)^2 + ||z - point||^2  s.t.  0 <= t <= 1,  z >= 0,  sum_label z <= t per argument.

    Given `t`, an argument's weights are `max(point - tau(t), 0)`, and the best `t` is `switch + sum tau(t)`, brought
    into `[0, 1]`. As the thresholds `tau` are convex and falling in `t`, Newton's method from 0 on meets it from below,
    after as many steps as there are pieces on its way. Differentiable.

    # Parameters

    switch : `torch.Tensor`
        `(...)`, floating.
    point : `torch.Tensor`
        `(..., arguments, labels)`, floating.
    possible : `torch.Tensor`
        Bool, can be broadcast to the shape of `point`.

    # Returns

    `tuple[torch.Tensor, torch.Tensor]`
        `t` and `z`, like `switch` and `point`.
    """
    values = point.double().masked_fill(~possible, -torch.inf)
    with torch.no_grad():
        descending = values.clamp(min=0).sort(dim=-1, descending=True).values
        sums = descending.cumsum(-1)
        rank = torch.arange(1, values.size(-1) + 1, device=point.device)
        t = torch.zeros_like(switch, dtype=torch.double)
        while True:
            size = t.unsqueeze(-1)
            is_full = sums[..., -1] > size
            support = (descending * rank > sums - size.unsqueeze(-1)).sum(-1).clamp(min=1)
            tau = (sums.gather(-1, support.unsqueeze(-1) - 1).squeeze(-1) - size) / support
            slope = 1 + (1 / support.double()).where(is_full, 0.0).sum(-1)
            gain = (switch.double() + tau.where(is_full, 0.0).sum(-1) - t) / slope
            new = (t + gain.clamp(min=0)).clamp(max=1)
            if not (new > t).any():
                break
            t = new
        tau = tau.where(is_full, 0.0).unsqueeze(-1)
        is_full = is_full.unsqueeze(-1)
        used = (values > tau) & (t > 0)[..., None, None]
        count = used.sum(-1, keepdim=True).clamp(min=1).double()
    # What was found, as a function of the input: while the same weights are positive, all is linear.
    # Shape: (..., arguments, 1)
    mass = values.where(used, 0.0).sum(-1, keepdim=True)
    shares = (mass / count).where(is_full, 0.0).sum((-1, -2))
    free = (switch.double() + shares) / (1 + (1 / count).where(is_full, 0.0).sum((-1, -2)))
    t = free.where((t > 0) & (t < 1), t)
    tau = ((mass - t[..., None, None]) / count).where(is_full, 0.0)
    return t.to(switch.dtype), (values - tau).where(used, 0.0).to(point.dtype)
