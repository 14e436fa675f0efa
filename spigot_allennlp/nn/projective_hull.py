"""Projective dependency trees: the nearest point of their convex hull."""

import numpy as np
import torch

from spigot_allennlp.nn.active_set import ActiveSet, hull_projection, not_done, stalled
from spigot_allennlp.nn.arcs import check_arc_shapes
from spigot_allennlp.nn.decoding import decode_on_host
from spigot_allennlp.nn.errors import raise_for_status
from spigot_allennlp.nn.shapes import Arcs, Mask

MAX_ITERATIONS = 10_000


def project_onto_projective_trees(point: Arcs, mask: Mask, single_root: bool = False) -> Arcs:
    """
    `argmin_x ||x - point||^2  s.t.  x in conv(Z)`, where `Z` are the projective dependency trees of a sentence. By the
    [active-set method](./active_set.md), with Eisner's algorithm for its argmax, in one compiled loop on the CPU.

    Parameters, result and errors are those of [`project_onto_arborescences`](./cuts.md#project_onto_arborescences).
    """
    return hull_projection(lambda target: _active_set(target, mask, single_root), point)


def _active_set(point: torch.Tensor, mask: torch.Tensor, single_root: bool) -> ActiveSet:
    from spigot_allennlp.nn.kernels import eisner, projective_hull

    check_arc_shapes(point, mask)
    values = point.double().cpu().contiguous().numpy()
    projection = np.zeros_like(values)
    status, sentence, flat_parts, flat_weights, sizes = projective_hull.project_onto_projective_trees(
        values, mask.cpu().contiguous().numpy(), single_root, MAX_ITERATIONS, projection
    )
    raise_for_status(status, sentence)
    for sentence in (sizes == projective_hull.NOT_DONE).nonzero()[0]:
        raise not_done(sentence, MAX_ITERATIONS)
    for sentence in (sizes == projective_hull.STALLED).nonzero()[0]:
        raise stalled(sentence)
    used = np.arange(sizes.max(initial=0)) < sizes[:, None]
    parts = np.full((*used.shape, flat_parts.shape[1]), -1, np.int32)
    weights = np.zeros(used.shape)
    parts[used], weights[used] = flat_parts, flat_weights
    return ActiveSet(
        point,
        lambda direction, mask: decode_on_host(eisner.maximum_projective_trees, direction, mask, single_root),
        mask,
        projection.reshape(len(values), values.shape[1] ** 2),
        parts,
        weights,
    )
