"""
Label sequences as paths through layers of labels, their mixtures as flows of 1 from the first layer to the last: the
nearest flow by Newton's method in the dual, whose variables are potentials of labels.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

# How much of a flow may get lost in a label, while potentials are about 1; and what is too much.
TOLERANCE = 1e-11
HOPELESS = 1e-6
# From one barrier to the next, and the last, relative to the first.
BARRIER_FACTOR = 0.1
LAST_BARRIER = 1e-10
# A pivot below this, relative to the diagonal, is 0 but for rounding.
FLAT = 1e-12
MAX_STEPS = 200
MAX_TRIALS = 100
# Sums may be taken in any order, so that they use vector instructions.
_FAST_SUMS = {"reassoc", "contract"}


class Flow(NamedTuple):
    """
    Of one sentence, without padding: what flows from the labels of layer t to those of layer t + 1 if each arc takes

        argmin_x  stiffness[t] x^2 / 2 - x (value + potential[t] - potential[t + 1]) - barrier log x,  x >= 0,

    where the potentials of the last layer are 0. Without a barrier that is `max(0, value + ...) / stiffness`.
    """

    # (length, labels, labels) float64, [position, previous, current]; -inf for what is not allowed
    value: np.ndarray
    flow: np.ndarray
    # the slope of the flow in its potentials, of the same shape
    conductance: np.ndarray
    # (length,) float64
    stiffness: np.ndarray
    # (length + 1, labels) float64; how much more comes into each label than goes out, (length, labels)
    potential: np.ndarray
    excess: np.ndarray


class Factor(NamedTuple):
    """The Cholesky factor of a matrix whose blocks are on the diagonal and beside it, `(length, labels, labels)`."""

    diagonal: np.ndarray
    beside: np.ndarray


@njit(nogil=True, cache=True)
def new_flow(value: np.ndarray, stiffness: np.ndarray) -> Flow:
    length, labels, _ = value.shape
    potential, excess = np.zeros((length + 1, labels)), np.zeros((length, labels))
    return Flow(value, np.zeros_like(value), np.zeros_like(value), stiffness, potential, excess)


@njit(nogil=True, cache=True)
def new_factor(length: int, labels: int) -> Factor:
    return Factor(np.empty((length, labels, labels)), np.empty((length, labels, labels)))


@njit(nogil=True, cache=True)
def update(flow: Flow, barrier: float) -> None:
    """Flow, conductance and excess that belong to the potentials."""
    length, labels, _ = flow.value.shape
    flow.excess[:] = 0.0
    flow.excess[0, 0] = 1.0
    for t in range(length):
        stiffness = flow.stiffness[t]
        for i in range(labels):
            for j in range(labels):
                height = flow.value[t, i, j] + flow.potential[t, i] - flow.potential[t + 1, j]
                amount = conductance = 0.0
                if height > -np.inf:
                    root = np.sqrt(height**2 + 4.0 * barrier * stiffness)
                    if height > 0.0:
                        amount = (height + root) / (2.0 * stiffness)
                    elif barrier > 0.0:
                        amount = 2.0 * barrier / (root - height)
                    if amount > 0.0:
                        conductance = amount / root
                flow.flow[t, i, j] = amount
                flow.conductance[t, i, j] = conductance
                flow.excess[t, i] -= amount
                if t + 1 < length:
                    flow.excess[t + 1, j] += amount


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def factorise(flow: Flow, factor: Factor) -> None:
    """
    The negative second derivative of the dual is the Laplacian of the graph of conductances; the last layer is ground.
    A pivot that vanishes, because nothing flows through a label, or all that does is cut off from the ground, is
    replaced.
    """
    length, labels, _ = flow.value.shape
    for t in range(length):
        block, beside = factor.diagonal[t], factor.beside[t]
        block[:] = 0.0
        for i in range(labels):
            for j in range(labels):
                block[i, i] += flow.conductance[t, i, j]
                beside[i, j] = -flow.conductance[t, i, j]
                if t > 0:
                    block[i, i] += flow.conductance[t - 1, j, i]
        for i in range(labels):
            full = block[i, i]
            if t > 0:
                # What was beside the block before, solved for: the transposed factor.
                for k in range(labels):
                    last = factor.beside[t - 1, k]
                    for j in range(i + 1):
                        block[i, j] -= last[i] * last[j]
            for j in range(i + 1):
                value = block[i, j]
                for k in range(j):
                    value -= block[i, k] * block[j, k]
                if j < i:
                    block[i, j] = value / block[j, j]
                else:
                    if value <= FLAT * full:
                        value = 0.25 / flow.stiffness[t]
                    block[i, i] = np.sqrt(value)
            for j in range(i):
                row, other = beside[i], beside[j]
                for k in range(labels):
                    row[k] -= block[i, j] * other[k]
            for k in range(labels):
                beside[i, k] /= block[i, i]


@njit(nogil=True, cache=True, fastmath=_FAST_SUMS)
def solve_by_factor(factor: Factor, values: np.ndarray) -> None:
    """Solves for `values`, `(length, labels)`, in place."""
    length, labels = values.shape
    for t in range(length):
        block, value = factor.diagonal[t], values[t]
        for i in range(labels):
            if t > 0:
                for k in range(labels):
                    value[i] -= factor.beside[t - 1, k, i] * values[t - 1, k]
            for j in range(i):
                value[i] -= block[i, j] * value[j]
            value[i] /= block[i, i]
    for t in range(length - 1, -1, -1):
        block, value = factor.diagonal[t], values[t]
        for i in range(labels - 1, -1, -1):
            if t + 1 < length:
                for k in range(labels):
                    value[i] -= factor.beside[t, i, k] * values[t + 1, k]
            value[i] /= block[i, i]
            for j in range(i):
                value[j] -= block[i, j] * value[i]


@njit(nogil=True, cache=True)
def nearest_flow(flow: Flow, factor: Factor) -> bool:
    """
    Finds the flow that costs least, without barrier; returns whether it has. Barriers that are lowered step by step
    lead there, as the steps of Newton's method are then few, whatever the length; the last is exact.
    """
    barrier = _begin(flow)
    last = LAST_BARRIER * barrier
    while barrier > last:
        if not maximise(flow, factor, barrier, min(0.1, np.sqrt(barrier))):
            return False
        barrier *= BARRIER_FACTOR
    return maximise(flow, factor, 0.0, TOLERANCE)


@njit(nogil=True, cache=True)
def _begin(flow: Flow) -> float:
    """Potentials with which about 1 flows through each layer for a large barrier, which is returned."""
    length = len(flow.value)
    spread = 1.0
    allowed = np.zeros(length)
    for t in range(length):
        for value in flow.value[t].flat:
            if value > -np.inf:
                spread = max(spread, -value)
                allowed[t] += 1.0
    barrier = spread / allowed.max()
    for t in range(length - 1, -1, -1):
        flow.potential[t] = flow.potential[t + 1, 0] + flow.stiffness[t] / allowed[t] - barrier * allowed[t]
    flow.potential[0, 1:] = 0.0
    return barrier


@njit(nogil=True, cache=True)
def maximise(flow: Flow, factor: Factor, barrier: float, enough: float) -> bool:
    """
    Finds potentials with which not more than `enough` of the flow gets lost anywhere: the maximum of the dual, whose
    slopes are what gets lost, by Newton's method. Returns whether it has.
    """
    length, labels, _ = flow.value.shape
    step = np.empty((length, labels))
    before = np.empty((length, labels))
    update(flow, barrier)
    for _ in range(MAX_STEPS):
        rounding = 8.0 * 2.2e-16 * np.abs(flow.potential).max() / flow.stiffness.min()
        if not rounding < HOPELESS:
            return False
        if np.abs(flow.excess).max() <= max(enough, rounding):
            return True
        factorise(flow, factor)
        step[:] = flow.excess
        solve_by_factor(factor, step)
        first_slope = (flow.excess * step).sum()
        if not first_slope > 0.0:
            return False
        before[:] = flow.potential[:length]
        low, high, low_slope, share = 0.0, np.inf, first_slope, 1.0
        for _ in range(MAX_TRIALS):
            flow.potential[:length] = before + share * step
            update(flow, barrier)
            slope = (flow.excess * step).sum()
            if slope > 0.5 * first_slope and high == np.inf:
                low, low_slope = share, slope
                share *= 4.0
            elif slope >= -0.5 * first_slope:
                break
            else:
                high = share
                share = low + (high - low) * max(0.1, min(0.9, low_slope / (low_slope - slope)))
    return False
