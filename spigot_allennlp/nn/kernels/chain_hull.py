import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.chain_flow import factorise, nearest_flow, new_factor, new_flow, solve_by_factor
from spigot_allennlp.nn.kernels.chain_labels import HOPELESS, best_labels, circulate, largest, tighten

# How much of a gradient may be left.
STILL = 1e-9


@njit(nogil=True, cache=True)
def project_onto_sequences(
    points: np.ndarray, mask: np.ndarray, projections: np.ndarray, done: np.ndarray
) -> tuple[int, int]:
    """
    Writes the projection of every sentence into `projections`, which come in as zeros, and whether that worked into
    `done`; see [`project_onto_sequences`](../chain_hull.md). Returns a status and the sentence it is about.
    """
    labels = points.shape[2]
    for sentence in range(len(points)):
        token = mask[sentence].nonzero()[0]
        length = len(token)
        if length == 0:
            continue
        value = np.empty((length, labels, labels))
        if not _load(points[sentence], token, value):
            return NOT_A_SCORE, sentence
        if not _keep_paths(value):
            return NO_STRUCTURE, sentence
        for t in range(length):
            # The same for all paths, and potentials stay small.
            value[t] -= value[t].max()
        flow = new_flow(value, np.ones(length))
        done[sentence] = nearest_flow(flow, new_factor(length, labels))
        if done[sentence]:
            for t in range(length):
                projections[sentence, token[t]] = flow.flow[t]
    return OK, 0


@njit(nogil=True, cache=True)
def mix_sequences(scores: np.ndarray, mask: np.ndarray, mixtures: np.ndarray, done: np.ndarray) -> tuple[int, int]:
    """
    As [`project_onto_sequences`](#project_onto_sequences), for penalised labels; see
    [`mix_sequences`](../chain_labels.md).
    """
    labels = scores.shape[2]
    for sentence in range(len(scores)):
        token = mask[sentence].nonzero()[0]
        if len(token) == 0:
            continue
        value = np.empty((len(token), labels, labels))
        if not _load(scores[sentence], token, value):
            return NOT_A_SCORE, sentence
        if not tighten(value):
            return NO_STRUCTURE, sentence
        mixture, gain = best_labels(value)
        done[sentence] = gain <= HOPELESS
        for t in range(len(token)):
            mixtures[sentence, token[t]] = mixture[t]
    return OK, 0


@njit(nogil=True, cache=True)
def _load(scores: np.ndarray, token: np.ndarray, value: np.ndarray) -> bool:
    """Copies the scores of tokens alone, -inf where there is no previous label; returns whether all are scores."""
    labels = value.shape[1]
    are_scores = True
    for t in range(len(token)):
        for i in range(labels):
            for j in range(labels):
                value[t, i, j] = scores[token[t], i, j] if t > 0 or i == 0 else -np.inf
                are_scores &= value[t, i, j] < np.inf
    return are_scores


@njit(nogil=True, cache=True)
def _keep_paths(value: np.ndarray) -> bool:
    """Forbids all that no whole sequence has; returns whether there is one."""
    length, labels, _ = value.shape
    reached = np.zeros(labels, np.bool_)
    reached[0] = True
    for t in range(length):
        before, reached = reached, np.zeros(labels, np.bool_)
        for i in range(labels):
            for j in range(labels):
                if not before[i]:
                    value[t, i, j] = -np.inf
                elif value[t, i, j] > -np.inf:
                    reached[j] = True
    if not reached.any():
        return False
    leads_on = np.ones(labels, np.bool_)
    for t in range(length - 1, -1, -1):
        after, leads_on = leads_on, np.zeros(labels, np.bool_)
        for i in range(labels):
            for j in range(labels):
                if not after[j]:
                    value[t, i, j] = -np.inf
                elif value[t, i, j] > -np.inf:
                    leads_on[i] = True
    return True


@njit(nogil=True, cache=True)
def apply_jacobian(projections: np.ndarray, mask: np.ndarray, gradients: np.ndarray, products: np.ndarray) -> None:
    """
    Writes the products of `gradients` with the Jacobian of the projection into `products`, which come in as zeros:
    their projections onto what can flow round within the arcs that have some flow.
    """
    labels = projections.shape[2]
    for sentence in range(len(projections)):
        token = mask[sentence].nonzero()[0]
        length = len(token)
        flow = new_flow(np.zeros((length, labels, labels)), np.ones(length))
        for t in range(length):
            for i in range(labels):
                for j in range(labels):
                    if projections[sentence, token[t], i, j] > 0.0:
                        gradient = gradients[sentence, token[t], i, j]
                        flow.conductance[t, i, j] = 1.0
                        flow.flow[t, i, j] = gradient
                        flow.excess[t, i] -= gradient
                        if t + 1 < length:
                            flow.excess[t + 1, j] += gradient
        factor = new_factor(length, labels)
        factorise(flow, factor)
        solve_by_factor(factor, flow.excess)
        flow.potential[:length] = flow.excess
        for t in range(length):
            for i in range(labels):
                for j in range(labels):
                    if flow.conductance[t, i, j] > 0.0:
                        height = flow.potential[t, i] - flow.potential[t + 1, j]
                        products[sentence, token[t], i, j] = flow.flow[t, i, j] + height


@njit(nogil=True, cache=True)
def apply_jacobian_for_labels(
    mixtures: np.ndarray, mask: np.ndarray, gradients: np.ndarray, products: np.ndarray
) -> None:
    """
    As [`apply_jacobian`](#apply_jacobian), for penalised labels: of what can flow round, that which gains most by the
    gradients when it has paid for its labels.
    """
    labels = mixtures.shape[2]
    for sentence in range(len(mixtures)):
        token = mask[sentence].nonzero()[0]
        length = len(token)
        if length == 0:
            continue
        gradient, face = np.zeros((length, labels, labels)), np.zeros((length, labels, labels), np.bool_)
        for t in range(length):
            for i in range(labels):
                for j in range(labels):
                    if mixtures[sentence, token[t], i, j] > 0.0:
                        face[t, i, j] = True
                        gradient[t, i, j] = gradients[sentence, token[t], i, j]
        scale = largest(gradient, 0.0)
        for _ in range(2):
            product = np.zeros_like(gradient)
            gain = circulate(gradient, face, 0.0, product, np.zeros((length + 1, labels)))
            if largest(gain, 0.0) <= STILL * scale:
                break
            # What gains by exchanges on and on, which have no derivative, is left out.
            for t in range(length):
                for i in range(labels):
                    for j in range(labels):
                        gradient[t, i, j] -= gain[t, i, j]
        for t in range(length):
            products[sentence, token[t]] = product[t]
