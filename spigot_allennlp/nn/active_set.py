"""
Projection onto the convex hull of a set of 0/1 structures of which only the argmax is known, and its derivative.

This is the min-norm-point method of [Wolfe (1976)](https://doi.org/10.1007/BF01580381), brought to structured
prediction by [SparseMAP (Niculae et al., 2018)](https://arxiv.org/abs/1802.04223). The projection is kept as a convex
combination of few structures, the *atoms* of the active set. In turns, the argmax in the direction of what is left of
the point joins the atoms, and a small least-squares problem over them finds the new weights.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from spigot_allennlp.nn.shapes import AnyMask, Cells

Argmax = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

# How much of a gradient the direction has that looks for more atoms on a face, relative to what has led to the face:
# at first, and at least.
FIRST_SHARE, LAST_SHARE = 1e-5, 1e-9


class ActiveSet:
    """
    A projection, and the structures whose convex combination it is. The atoms of a sentence are affinely independent.
    Where a sentence has fewer atoms than others, empty atoms of weight 0 follow.

    projection : `torch.Tensor`
        Of the shape, dtype and device of the point.
    weights : `torch.Tensor`
        `(batch, atoms)` float64, positive, and then 0. Each row sums to 1.
    """

    def __init__(
        self,
        point: torch.Tensor,
        argmax: Argmax,
        mask: torch.Tensor,
        projection: np.ndarray,
        parts: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        """
        `projection` is `(batch, cells)` float64; `parts`, `(batch, atoms, parts)` int32, the cells of the atoms, with
        -1 where there are fewer; `weights` `(batch, atoms)`.
        """
        self.projection = torch.from_numpy(projection).view(point.shape).to(point)
        self.weights = torch.from_numpy(weights).to(point.device)
        self._argmax = argmax
        self._mask = mask
        self._parts = parts
        self._residual = _as_cells(point) - projection

    @property
    def atoms(self) -> torch.Tensor:
        """`(batch, atoms, ...)` bool, where `...` are the axes of one sentence of the point."""
        batch_size, num_atoms, _ = self._parts.shape
        sentence, atom, place = (self._parts >= 0).nonzero()
        atoms = np.zeros((batch_size, num_atoms, self._residual.shape[1]), bool)
        atoms[sentence, atom, self._parts[sentence, atom, place]] = True
        return torch.from_numpy(atoms).view(batch_size, num_atoms, *self.projection.shape[1:]).to(self.weights.device)

    def vjp(self, gradient: torch.Tensor) -> torch.Tensor:
        """
        The product of `gradient`, of the shape of the projection, with the Jacobian of the projection in its point.

        While the projection stays on the same face of the hull, it is linear: onto the span of the differences of the
        structures on the face. The Jacobian is therefore symmetric. The atoms are on the face, but need not span it:
        what else does is found by the argmax, in the direction that led to the projection and a little of the part of
        the gradient that is not explained yet. Where the point is between two pieces, one of them is taken; directions
        in which the projection can move to and fro are right even there.
        """
        cells = _as_cells(gradient)
        # A gradient that has overflown is the business of whoever scales it.
        finite = np.isfinite(cells).all(1)
        sentences = finite.nonzero()[0]

        def argmax(among: np.ndarray, directions: np.ndarray) -> np.ndarray:
            direction = torch.from_numpy(directions).view(len(directions), *gradient.shape[1:]).to(gradient.device)
            return _as_cells(self._argmax(direction, self._mask[sentences[among]]))

        products = np.full_like(cells, np.nan)
        sizes = (self.weights > 0).sum(1).cpu().numpy()
        products[sentences] = _project_onto_face(
            self._parts[sentences], sizes[sentences], self._residual[sentences], cells[sentences], argmax
        )
        return torch.from_numpy(products).view(gradient.shape).to(gradient)


def project_onto_hull(
    point: Cells,
    argmax: Argmax,
    mask: AnyMask,
    initial: torch.Tensor | None = None,
    max_iterations: int = 10_000,
) -> ActiveSet:
    """
    `argmin_x ||x - point||^2  s.t.  x in conv(Z)`, for every sentence of a batch, in float64.

    A sentence is done when its duality gap `max_{z in Z} (point - x) . (z - x)`, which is never less than
    `||x - x*||^2`, is 1e-12 (or 1e-12 times the largest coordinate of `point - x`, if that is above 1).

    # Parameters

    point : `torch.Tensor`, required.
        `(batch, ...)`, any floating dtype. Cells that `argmax` ignores are ignored.
    argmax : `Callable[[torch.Tensor, torch.Tensor], torch.Tensor]`, required.
        `argmax(direction, mask)`, an exact maximiser of `direction . z` over `Z` as a 0/1 tensor. It is called with a
        float64 direction on the device of `point`, for the sentences that are not done.
    mask : `torch.Tensor`, required.
        `(batch, ...)` bool, handed to `argmax`.
    initial : `torch.Tensor`, optional (default = `None`).
        A structure to start from, 0/1 and like `point`, if one near the projection is known. The default is the argmax
        of `point`.
    max_iterations : `int`, optional (default = `10000`).
        Most calls of `argmax`. A face of the hull with `d` dimensions takes about `d` to `2d` of them.

    # Raises

    `ValueError` where `initial` or an argmax is not 0/1, or is 1 where the point is not finite. `RuntimeError` where a
    sentence is not done after `max_iterations`, or rounding ends its progress before. And what `argmax` raises.
    """
    from spigot_allennlp.nn.kernels import min_norm_point

    target = _as_cells(point)
    residual = target.copy()
    batch = _Batch(len(point))

    def improve(sentences: np.ndarray, vertices: torch.Tensor) -> np.ndarray:
        cells = _as_cells(vertices)
        status = min_norm_point.improve(sentences, cells, target, residual, batch.with_room_for(cells), batch.sizes)
        for sentence in sentences[status == min_norm_point.INVALID]:
            raise ValueError(f"sentence {sentence} has a structure that is not 0/1, or 1 where the point is not finite")
        for sentence in sentences[status == min_norm_point.STALLED]:
            raise stalled(sentence)
        return sentences[status != min_norm_point.DONE]

    directions = np.empty_like(residual)
    unfinished = np.arange(len(point))
    if initial is not None:
        improve(unfinished, initial)
    for _ in range(max_iterations):
        if len(unfinished) == 0:
            break
        direction = np.take(residual, unfinished, axis=0, out=directions[: len(unfinished)], mode="clip")
        direction = torch.from_numpy(direction).view(len(direction), *point.shape[1:]).to(point.device)
        unfinished = improve(unfinished, argmax(direction, mask[unfinished]))
    for sentence in unfinished:
        raise not_done(sentence, max_iterations)
    return ActiveSet(point, argmax, mask, *batch.mixtures(target.shape[1]))


def hull_projection(solve: Callable[[torch.Tensor], ActiveSet], point: torch.Tensor) -> torch.Tensor:
    """The projection of `solve(point)`, differentiable once in `point`."""
    return _HullProjection.apply(solve, point)


class _HullProjection(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, solve: Callable[[torch.Tensor], ActiveSet], point: torch.Tensor) -> torch.Tensor:
        ctx.active_set = solve(point.detach())
        # The output itself would tie a knot of references that only the garbage collector unties.
        return ctx.active_set.projection.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_projection: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, ctx.active_set.vjp(d_projection)


def stalled(sentence: int) -> RuntimeError:
    return RuntimeError(f"rounding ends the projection of sentence {sentence} before it is exact")


def not_done(sentence: int, max_iterations: int) -> RuntimeError:
    return RuntimeError(f"the projection of sentence {sentence} needs more than {max_iterations} iterations")


class _Batch:
    """The atoms of a batch, in arrays that grow; see [`Atoms`](./kernels/atoms.md#Atoms)."""

    def __init__(self, batch_size: int) -> None:
        self.sizes = np.zeros(batch_size, np.int64)
        self.parts = np.empty((batch_size, 0, 0), np.uint32)
        self.num_parts = np.empty((batch_size, 0), np.int64)
        self.weights = np.empty((batch_size, 0))
        self.factor = np.empty((batch_size, 0))
        self.price = np.empty((batch_size, 0))

    def with_room_for(self, vertices: np.ndarray) -> Any:
        """The atoms, with room for one more in each sentence."""
        from spigot_allennlp.nn.kernels.atoms import most_parts

        return self.with_room(self.sizes.max(initial=0) + 1, most_parts(vertices))

    def with_room(self, num_atoms: int, num_parts: int) -> Any:
        from spigot_allennlp.nn.kernels.atoms import Atoms

        _, atoms, parts = self.parts.shape
        if num_atoms > atoms or num_parts > parts:
            atoms = max(num_atoms, atoms + max(8, atoms)) if num_atoms > atoms else atoms
            self.parts = _grown(self.parts, atoms, max(parts, num_parts))
            self.num_parts = _grown(self.num_parts, atoms)
            self.weights = _grown(self.weights, atoms)
            self.factor = _grown(self.factor, atoms * (atoms + 1) // 2)
            self.price = _grown(self.price, atoms)
        return Atoms(self.parts, self.num_parts, self.weights, self.factor, self.price)

    def mixtures(self, num_cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The weighted sums of the atoms, and parts and weights as an [`ActiveSet`](#ActiveSet) wants them."""
        from spigot_allennlp.nn.kernels.atoms import mixtures

        projection = np.zeros((len(self.sizes), num_cells))
        parts = np.full((len(self.sizes), self.sizes.max(initial=0), self.parts.shape[2]), -1, np.int32)
        weights = np.zeros(parts.shape[:2])
        mixtures(self.with_room(0, 0), self.sizes, projection, parts, weights)
        return projection, parts, weights


def _project_onto_face(
    parts: np.ndarray,
    sizes: np.ndarray,
    residual: np.ndarray,
    gradients: np.ndarray,
    argmax: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """
    The projections of `gradients`, `(batch, cells)`, onto the spans of faces. `argmax(sentences, directions)` takes and
    gives cells.
    """
    from spigot_allennlp.nn.kernels import face

    batch = _Batch(len(gradients))
    batch.sizes[:] = sizes
    atoms = batch.with_room(sizes.max(initial=0), parts.shape[2])
    num_atoms = parts.shape[1]
    atoms.parts[:, :num_atoms] = parts
    atoms.num_parts[:, :num_atoms] = (parts >= 0).sum(2)
    rest = np.empty_like(gradients)
    largest = np.abs(gradients).max(1, initial=0)
    scales = face.begin(residual, gradients, rest, atoms, sizes)
    shares = np.full(len(gradients), FIRST_SHARE)
    unfinished = largest.nonzero()[0]
    while len(unfinished):
        share = shares[unfinished] * scales[unfinished] / largest[unfinished]
        vertices = argmax(unfinished, residual[unfinished] + share[:, None] * rest[unfinished])
        atoms = batch.with_room_for(vertices)
        status = face.extend(unfinished, vertices, residual, scales, rest, largest, atoms, batch.sizes)
        shares[unfinished[status == face.OFF_THE_FACE]] /= 10
        unfinished = unfinished[(status != face.DONE) & (shares[unfinished] >= LAST_SHARE)]
    products = np.zeros_like(gradients)
    face.end(gradients, rest, atoms, batch.sizes, products)
    return products


def _grown(values: np.ndarray, *shape: int) -> np.ndarray:
    """A copy with more room in the axes after the first. What is there is not written, and costs nothing yet."""
    grown = np.empty((len(values), *shape), values.dtype)
    grown[tuple(slice(size) for size in values.shape)] = values
    return grown


def _as_cells(values: torch.Tensor) -> np.ndarray:
    """`(batch, cells)` float64, contiguous, a copy or not."""
    return values.detach().double().cpu().flatten(1).contiguous().numpy()
