"""
Projection onto the convex hull of a set of 0/1 structures of which only the argmax is known.

This is the min-norm-point method of [Wolfe (1976)](https://doi.org/10.1007/BF01580381), brought to structured
prediction by [SparseMAP (Niculae et al., 2018)](https://arxiv.org/abs/1802.04223). The projection is kept as a convex
combination of few structures, the *atoms* of the active set. In turns, the argmax in the direction of what is left of
the point joins the atoms, and a small least-squares problem over them finds the new weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch


class ActiveSet(NamedTuple):
    """
    A projection, and the structures whose convex combination it is. The atoms of a sentence are affinely independent.
    Where a sentence has fewer atoms than others, empty atoms of weight 0 follow.

    projection : `torch.Tensor`
        Of the shape, dtype and device of the point.
    atoms : `torch.Tensor`
        `(batch, atoms, ...)` bool, where `...` are the axes of one sentence of the point.
    weights : `torch.Tensor`
        `(batch, atoms)` float64, positive, and then 0. Each row sums to 1.
    """

    projection: torch.Tensor
    atoms: torch.Tensor
    weights: torch.Tensor

    def vjp(self, gradient: torch.Tensor) -> torch.Tensor:
        """
        The product of `gradient`, of the shape of the projection, with the Jacobian of the projection in its point.
        While the atoms stay the same, projecting is linear: onto the span of the differences of the atoms (SparseMAP,
        section 3.2). The Jacobian is therefore symmetric. It has no parts outside the atoms.
        """
        # Subtracting the projection from the atoms leaves the span, and makes `weights` the one relation between them.
        # Shape: (batch, atoms, parts)
        atoms = self.atoms.flatten(2).double()
        differences = atoms - self.weights.unsqueeze(1) @ atoms
        used = self.weights > 0
        differences = differences * used.unsqueeze(2)
        # Shape: (batch, atoms, atoms)
        gram = differences @ differences.transpose(1, 2)
        gram += self.weights.unsqueeze(1) * self.weights.unsqueeze(2) + torch.diag_embed((~used).double())
        # Shape: (batch, atoms, 1)
        coefficients = torch.linalg.solve(gram, differences @ gradient.flatten(1).double().unsqueeze(2))
        product = differences.transpose(1, 2) @ coefficients
        return product.view(gradient.shape).to(gradient.dtype)


def project_onto_hull(
    point: torch.Tensor,
    argmax: Callable[..., torch.Tensor],
    mask: torch.Tensor,
    initial: torch.Tensor | None = None,
    max_iterations: int = 10_000,
    **context: torch.Tensor,
) -> ActiveSet:
    """
    `argmin_x ||x - point||^2  s.t.  x in conv(Z)`, for every sentence of a batch, in float64.

    A sentence is done when its duality gap `max_{z in Z} (point - x) . (z - x)`, which is never less than
    `||x - x*||^2`, is 1e-12 (or 1e-12 times the largest coordinate of `point - x`, if that is above 1).

    # Parameters

    point : `torch.Tensor`, required.
        `(batch, ...)`, any floating dtype. Cells that `argmax` ignores are ignored.
    argmax : `Callable[..., torch.Tensor]`, required.
        `argmax(direction, mask, **context)`, an exact maximiser of `direction . z` over `Z` as a 0/1 tensor. It is
        called with a float64 direction on the device of `point`, for the sentences that are not done.
    mask : `torch.Tensor`, required.
        `(batch, length)` bool, handed to `argmax`.
    initial : `torch.Tensor`, optional (default = `None`).
        A structure to start from, 0/1 and like `point`, if one near the projection is known. The default is the argmax
        of `point`.
    max_iterations : `int`, optional (default = `10000`).
        Most calls of `argmax`. A face of the hull with `d` dimensions takes about `d` to `2d` of them.
    context : `torch.Tensor`, optional.
        Handed to `argmax` unchanged. As such a tensor may or may not have one row per sentence, `argmax` then sees the
        whole batch each time. It may restrict `Z`, but must not change what is maximised.

    # Raises

    `ValueError` where `initial` or an argmax is not 0/1, or is 1 where the point is not finite. `RuntimeError` where a
    sentence is not done after `max_iterations`, or rounding ends its progress before. And what `argmax` raises.
    """
    sets = _ActiveSets(point.detach().double().cpu().flatten(1).contiguous().numpy())
    unfinished = np.arange(len(point))
    if initial is not None:
        sets.improve(unfinished, initial)
    for _ in range(max_iterations):
        if len(unfinished) == 0:
            break
        direction = torch.from_numpy(sets.target - sets.projection).view(point.shape).to(point.device)
        if context:
            vertices = argmax(direction, mask, **context)[unfinished]
        else:
            vertices = argmax(direction[unfinished], mask[unfinished])
        done = sets.improve(unfinished, vertices)
        unfinished = unfinished[~done]
    for sentence in unfinished:
        raise RuntimeError(f"the projection of sentence {sentence} needs more than {max_iterations} iterations")
    return sets.as_active_set(point)


class _ActiveSets:
    """The active sets of a batch, in arrays that grow; for their shapes see `kernels/min_norm_point.py`."""

    def __init__(self, target: np.ndarray) -> None:
        batch_size = len(target)
        self.target = target
        self.projection = np.zeros_like(target)
        self.parts = np.empty((batch_size, 0, 0), np.int32)
        self.weights = np.empty((batch_size, 0))
        self.factor = np.empty((batch_size, 0, 0))
        self.sizes = np.zeros(batch_size, np.int64)

    def improve(self, sentences: np.ndarray, vertices: torch.Tensor) -> np.ndarray:
        """Offers one vertex, `(len(sentences), ...)`, to each of the sentences. Returns which of them are done."""
        from spigot_allennlp.nn.kernels import min_norm_point

        cells = vertices.detach().double().cpu().flatten(1).contiguous().numpy()
        self._make_room(self.sizes.max(initial=0) + 1, np.count_nonzero(cells, axis=1).max(initial=0))
        status = min_norm_point.improve(
            sentences, cells, self.target, self.projection, self.parts, self.weights, self.factor, self.sizes
        )
        for sentence in sentences[status == min_norm_point.INVALID]:
            raise ValueError(f"sentence {sentence} has a structure that is not 0/1, or 1 where the point is not finite")
        for sentence in sentences[status == min_norm_point.STALLED]:
            raise RuntimeError(f"rounding ends the projection of sentence {sentence} before it is exact")
        return status == min_norm_point.DONE

    def as_active_set(self, point: torch.Tensor) -> ActiveSet:
        most_atoms = self.sizes.max(initial=0)
        weights = self.weights[:, :most_atoms] * (np.arange(most_atoms) < self.sizes[:, None])
        sentence, atom, place = ((self.parts[:, :most_atoms] >= 0) & (weights > 0)[:, :, None]).nonzero()
        atoms = np.zeros((*weights.shape, self.target.shape[1]), bool)
        atoms[sentence, atom, self.parts[sentence, atom, place]] = True
        return ActiveSet(
            torch.from_numpy(self.projection).view(point.shape).to(point),
            torch.from_numpy(atoms).view(*weights.shape, *point.shape[1:]).to(point.device),
            torch.from_numpy(weights).to(point.device),
        )

    def _make_room(self, num_atoms: int, num_parts: int) -> None:
        _, atoms, parts = self.parts.shape
        more_atoms = max(8, atoms) if num_atoms > atoms else 0
        more_parts = max(0, num_parts - parts)
        if more_atoms or more_parts:
            self.parts = np.pad(self.parts, ((0, 0), (0, more_atoms), (0, more_parts)), constant_values=-1)
            self.weights = np.pad(self.weights, ((0, 0), (0, more_atoms)))
            self.factor = np.pad(self.factor, ((0, 0), (0, more_atoms), (0, more_atoms)))
