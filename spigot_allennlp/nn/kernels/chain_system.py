"""The linear equations in flows through layers of labels of which the labels cost half their square."""

from typing import NamedTuple

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.chain_flow import Factor, new_factor, solve_by_factor

# Sums may be taken in any order, so that they use vector instructions.
_FAST_SUMS = {"reassoc", "contract"}


class System(NamedTuple):
    """
    The linear equations in every step. Where `conductance`, `(length, labels, labels)`, is not 0, the flow from label i
    of layer t to label j of layer t + 1 changes by

        flow[t, i, j] = pull[t, i, j] - conductance[t, i, j] (label[t, j] + potential[t + 1, j] - potential[t, i]),

    where `label[t, j]` is the sum of that over i, potentials of the last layer are 0, and all others such that
    `excess`, `(length, labels)`, what comes into a label more than goes out of it, vanishes. `factor` is that of the
    Laplacian which remains for the potentials.
    """

    conductance: np.ndarray
    pull: np.ndarray
    excess: np.ndarray
    factor: Factor
    flow: np.ndarray
    label: np.ndarray
    potential: np.ndarray


@njit(nogil=True, cache=True)
def new_system(value: np.ndarray) -> System:
    length, labels, _ = value.shape
    return System(
        np.zeros_like(value),
        np.zeros_like(value),
        np.zeros((length, labels)),
        new_factor(length, labels),
        np.zeros_like(value),
        np.zeros((length, labels)),
        np.zeros((length + 1, labels)),
    )


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def factorise(system: System) -> None:
    """
    By elimination of one node after the other, in which what conducts to it conducts between its neighbours instead:
    positive numbers are added up, and nothing is ever subtracted, so that conductances of all magnitudes do no harm.
    """
    conductance, factor = system.conductance, system.factor
    length, labels, _ = conductance.shape
    total = np.empty(labels)
    factor.diagonal[0] = 0.0
    for t in range(length):
        # Conductances between the labels of a layer, below the diagonal, and those to the labels of the next.
        within, beside, after = factor.diagonal[t], factor.beside[t], factor.diagonal[(t + 1) % length]
        for j in range(labels):
            total[j] = 1.0
        for i in range(labels):
            for j in range(labels):
                total[j] += conductance[t, i, j]
        for i in range(labels):
            for j in range(labels):
                beside[i, j] = conductance[t, i, j] / total[j]
            for k in range(i):
                for j in range(labels):
                    within[i, k] += conductance[t, k, j] * beside[i, j]
        if t + 1 < length:
            after[:] = 0.0
        for i in range(labels):
            pivot = 0.0
            for k in range(labels):
                pivot += beside[i, k]
                if k > i:
                    pivot += within[k, i]
            if not pivot > 0.0:
                pivot = 1.0
            for k in range(i + 1, labels):
                share = within[k, i] / pivot
                for j in range(i + 1, k):
                    within[k, j] += share * within[j, i]
                for j in range(labels):
                    beside[k, j] += share * beside[i, j]
            if t + 1 < length:
                for k in range(labels):
                    share = beside[i, k] / pivot
                    for j in range(k):
                        after[k, j] += share * beside[i, j]
            root = np.sqrt(pivot)
            for k in range(labels):
                beside[i, k] /= -root
                if k > i:
                    within[k, i] /= -root
            within[i, i] = root


@njit(nogil=True, cache=True)
def solve(system: System) -> None:
    conductance, pull, flow, label = system.conductance, system.pull, system.flow, system.label
    length, labels, _ = conductance.shape
    potential = system.potential
    potential[:length] = system.excess
    total = np.zeros((length, labels))
    label[:] = 0.0
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                label[t, j] += pull[t, i, j]
                total[t, j] += conductance[t, i, j]
        for j in range(labels):
            if t + 1 < length:
                potential[t + 1, j] += label[t, j] / (1.0 + total[t, j])
        for i in range(labels):
            for j in range(labels):
                potential[t, i] -= pull[t, i, j] - conductance[t, i, j] * label[t, j] / (1.0 + total[t, j])
    solve_by_factor(system.factor, potential[:length])
    for t in range(length):
        for j in range(labels):
            label[t, j] -= total[t, j] * potential[t + 1, j]
            for i in range(labels):
                label[t, j] += conductance[t, i, j] * potential[t, i]
            label[t, j] /= 1.0 + total[t, j]
        for i in range(labels):
            for j in range(labels):
                height = label[t, j] + potential[t + 1, j] - potential[t, i]
                flow[t, i, j] = pull[t, i, j] - conductance[t, i, j] * height


@njit(nogil=True, cache=True)
def write_excess(flow: np.ndarray, source: float, excess: np.ndarray) -> float:
    """Writes how much more comes into each label than goes out, and returns the largest of it."""
    length, labels, _ = flow.shape
    excess[:] = 0.0
    excess[0, 0] = source
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                excess[t, i] -= flow[t, i, j]
                if t + 1 < length:
                    excess[t + 1, j] += flow[t, i, j]
    most = 0.0
    for t in range(length):
        for i in range(labels):
            most = max(most, abs(excess[t, i]))
    return most


@njit(nogil=True, cache=True)
def write_labels(flow: np.ndarray, label: np.ndarray) -> None:
    """What flows into each label."""
    length, labels, _ = flow.shape
    for t in range(length):
        for j in range(labels):
            label[t, j] = 0.0
        for i in range(labels):
            for j in range(labels):
                label[t, j] += flow[t, i, j]
