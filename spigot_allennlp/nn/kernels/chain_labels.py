"""
Mixtures of label sequences as flows of 1 through layers of labels, of which the labels cost half their square and the
pairs of labels nothing: the flow that earns most, by an interior-point method and, from there, exactly.
"""

import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels.chain_system import (
    System,
    factorise,
    new_system,
    solve,
    write_excess,
    write_labels,
)

# To which product of flow and slack the interior-point method goes, for values that differ by 1 or more.
LAST_BARRIER = 1e-13
# How much of a flow may get lost in a label then, and how far slacks may be from what they stand for.
HARMLESS = 1e-9
# On a face, from one point to the next, pairs cost half their squared distance from the point before, times this.
PROXIMITY = 1e-3
# From one point to the next, nothing has changed; less than nothing flows; nobody gains more by another sequence.
UNCHANGED, NEGATIVE, GAP = 1e-11, 1e-12, 1e-10
# What a flow may fall short of the best if no face is found on which it is the best.
HOPELESS = 1e-7
MAX_STEPS = 60
MAX_PROXIMAL_STEPS = 200
MAX_FACES = 300


@njit(nogil=True, cache=True)
def best_labels(value: np.ndarray) -> tuple[np.ndarray, float]:
    """
    The flow `x` that maximises `value . x - ||labels(x)||^2 / 2`, and what another might gain at most. `value` is
    `(length, labels, labels)` float64, [position, previous, current], at most 0, with a path of zeros (see
    [`tighten`](#tighten)); -inf forbids a pair.
    """
    length, labels, _ = value.shape
    spread = largest(value, -np.inf)
    # Where values hardly differ, slacks do not either.
    unit = np.sqrt(min(1.0, spread)) if spread > 1e-9 else 1.0
    flow, slack, potential = _interior(value, LAST_BARRIER * unit)
    face = np.empty(value.shape, np.bool_)
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                face[t, i, j] = unit * flow[t, i, j] > slack[t, i, j]
                if not face[t, i, j]:
                    flow[t, i, j] = 0.0
    return _on_face(value, flow, potential, face)


@njit(nogil=True, cache=True)
def tighten(value: np.ndarray) -> bool:
    """
    Adds what is the same for all sequences, so that the best ones have zeros and the others nothing above; and forbids
    pairs of which each sequence is too bad to have a share. Returns whether there is any sequence.
    """
    length, labels, _ = value.shape
    before, after = np.full(labels, -np.inf), np.empty(labels)
    before[0] = 0.0
    for t in range(length):
        after[:] = -np.inf
        for i in range(labels):
            for j in range(labels):
                after[j] = max(after[j], before[i] + value[t, i, j])
        if t + 1 == length:
            after[:] = after.max()
        for i in range(labels):
            for j in range(labels):
                if value[t, i, j] > -np.inf and before[i] > -np.inf:
                    value[t, i, j] += before[i] - after[j]
                else:
                    value[t, i, j] = -np.inf
        before[:] = after
    if not before[0] > -np.inf:
        return False
    # Whoever has a share in the best mixture is worth `length` less than the best sequence at worst.
    after[:] = 0.0
    for t in range(length - 1, -1, -1):
        before[:] = -np.inf
        for i in range(labels):
            for j in range(labels):
                if value[t, i, j] + after[j] < -(length + 1.0):
                    value[t, i, j] = -np.inf
                before[i] = max(before[i], value[t, i, j] + after[j])
        after[:] = before
    return True


@njit(nogil=True, cache=True)
def _interior(value: np.ndarray, last_barrier: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Flow, slack and potentials near the best, all flows and slacks positive: by the primal-dual method of [Mehrotra,
    1992](https://doi.org/10.1137/0802028), which looks once along a straight line and then corrects the path.
    """
    length, labels, _ = value.shape
    flow, slack, potential = np.zeros_like(value), np.zeros_like(value), np.zeros((length + 1, labels))
    system, slack_step, off = new_system(value), np.zeros_like(value), np.zeros_like(value)
    for t in range(length):
        allowed = 0.0
        for i in range(labels):
            for j in range(labels):
                allowed += value[t, i, j] > -np.inf
        for i in range(labels):
            for j in range(labels):
                if value[t, i, j] > -np.inf:
                    # No label is worth more than its flow, which is 1 at most.
                    flow[t, i, j], slack[t, i, j] = 1.0 / allowed, 1.0 - value[t, i, j]
    for _ in range(MAX_STEPS):
        write_labels(flow, system.label)
        for t in range(length):
            for i in range(labels):
                for j in range(labels):
                    if slack[t, i, j] > 0.0:
                        height = value[t, i, j] + potential[t, i] - potential[t + 1, j]
                        off[t, i, j] = slack[t, i, j] + height - system.label[t, j]
                        system.conductance[t, i, j] = flow[t, i, j] / slack[t, i, j]
        barrier = _mean_product(flow, slack, system.flow, slack_step, 0.0)
        lost = max(write_excess(flow, 1.0, system.excess), largest(off, -np.inf))
        if barrier <= 10.0 * last_barrier and lost <= HARMLESS:
            break
        factorise(system)
        target = 0.0
        for is_correction in (False, True):
            _take_step(flow, slack, off, target, system, slack_step)
            share = _room(flow, slack, system, slack_step)
            if is_correction:
                share = min(1.0, share * min(0.9999, max(0.9, 1.0 - barrier)))
            else:
                share = min(1.0, share)
                ahead = _mean_product(flow, slack, system.flow, slack_step, share)
                target = max((ahead / barrier) ** 3 * barrier, last_barrier)
        for t in range(length):
            for i in range(labels):
                potential[t, i] += share * system.potential[t, i]
                for j in range(labels):
                    flow[t, i, j] += share * system.flow[t, i, j]
                    slack[t, i, j] += share * slack_step[t, i, j]
    return flow, slack, potential


@njit(nogil=True, cache=True)
def largest(values: np.ndarray, without: float) -> float:
    """The largest absolute value but for those that are `without`."""
    length, labels, _ = values.shape
    found = 0.0
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if values[t, i, j] != without:
                    found = max(found, abs(values[t, i, j]))
    return found


@njit(nogil=True, cache=True)
def _mean_product(
    flow: np.ndarray, slack: np.ndarray, flow_step: np.ndarray, slack_step: np.ndarray, share: float
) -> float:
    """The mean product of flow and slack after a share of a step."""
    length, labels, _ = flow.shape
    total = count = 0.0
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if slack[t, i, j] > 0.0:
                    count += 1.0
                    total += (flow[t, i, j] + share * flow_step[t, i, j]) * (
                        slack[t, i, j] + share * slack_step[t, i, j]
                    )
    return total / count


@njit(nogil=True, cache=True)
def _take_step(
    flow: np.ndarray, slack: np.ndarray, off: np.ndarray, barrier: float, system: System, slack_step: np.ndarray
) -> None:
    """
    Solves for the step to where products of flow and slack are `barrier`; if that is not 0, with the error that the
    step before, still in `system` and `slack_step`, would have made.
    """
    length, labels, _ = flow.shape
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if slack[t, i, j] > 0.0:
                    target = barrier - system.flow[t, i, j] * slack_step[t, i, j] if barrier > 0.0 else 0.0
                    pull = (target + flow[t, i, j] * off[t, i, j]) / slack[t, i, j] - flow[t, i, j]
                    system.pull[t, i, j] = pull
    solve(system)
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if slack[t, i, j] > 0.0:
                    height = system.label[t, j] + system.potential[t + 1, j] - system.potential[t, i]
                    slack_step[t, i, j] = height - off[t, i, j]


@njit(nogil=True, cache=True)
def _room(flow: np.ndarray, slack: np.ndarray, system: System, slack_step: np.ndarray) -> float:
    """How many steps can be taken until a flow or a slack is 0."""
    length, labels, _ = flow.shape
    room = np.inf
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if system.flow[t, i, j] < 0.0:
                    room = min(room, -flow[t, i, j] / system.flow[t, i, j])
                if slack_step[t, i, j] < 0.0:
                    room = min(room, -slack[t, i, j] / slack_step[t, i, j])
    return room


@njit(nogil=True, cache=True)
def _on_face(value: np.ndarray, flow: np.ndarray, potential: np.ndarray, face: np.ndarray) -> tuple[np.ndarray, float]:
    """
    The best flow, from one that is near it: the best within the pairs of `face`, exactly. On the way there, pairs
    through which nothing flows any more leave the face; once there, those of a better sequence join it.
    """
    length = len(value)
    path = np.empty(length, np.int64)
    for _ in range(MAX_FACES):
        target, there = flow.copy(), potential.copy()
        circulate(value, face, 1.0, target, there)
        if not _go(flow, target, face):
            continue
        potential = there
        if _gain(value, flow, path) <= GAP:
            break
        previous = 0
        for t in range(length):
            face[t, previous, path[t]] = True
            previous = path[t]
    return flow, _gain(value, flow, path)


@njit(nogil=True, cache=True)
def _go(flow: np.ndarray, target: np.ndarray, face: np.ndarray) -> bool:
    """Moves `flow` towards `target`, until a pair has nothing left and leaves the face; returns whether none does."""
    length, labels, _ = flow.shape
    share = 1.0
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if target[t, i, j] < -NEGATIVE:
                    share = min(share, flow[t, i, j] / (flow[t, i, j] - target[t, i, j]))
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if face[t, i, j]:
                    flow[t, i, j] += share * (target[t, i, j] - flow[t, i, j])
                    if flow[t, i, j] <= NEGATIVE:
                        flow[t, i, j] = 0.0
                        if target[t, i, j] < -NEGATIVE:
                            face[t, i, j] = False
    return share == 1.0


@njit(nogil=True, cache=True)
def circulate(
    value: np.ndarray, face: np.ndarray, source: float, flow: np.ndarray, potential: np.ndarray
) -> np.ndarray:
    """
    Leads `flow` and its potentials to where it is one of `source` and earns most within the pairs of `face`, whatever
    signs it has; it is 0 outside. By the proximal point method ([Rockafellar, 1976](https://doi.org/10.1137/0314056)):
    pairs cost something, but only for their distance from the point before. Returns what each pair would still gain.
    That is not 0 where pairs can be exchanged for better ones while all labels stay, on and on.
    """
    length, labels, _ = value.shape
    system, gain, last_step = new_system(value), np.zeros_like(value), np.zeros_like(value)
    unit = source
    for t in range(length):
        for i in range(labels):
            for j in range(labels):
                if face[t, i, j]:
                    system.conductance[t, i, j] = 1.0 / PROXIMITY
                    if source == 0.0:
                        unit = max(unit, abs(value[t, i, j]))
    factorise(system)
    for _ in range(MAX_PROXIMAL_STEPS):
        write_labels(flow, system.label)
        for t in range(length):
            for i in range(labels):
                for j in range(labels):
                    if face[t, i, j]:
                        height = value[t, i, j] + potential[t, i] - potential[t + 1, j]
                        gain[t, i, j] = height - system.label[t, j]
                        system.pull[t, i, j] = gain[t, i, j] / PROXIMITY
        write_excess(flow, source, system.excess)
        solve(system)
        change = 0.0
        for t in range(length):
            for i in range(labels):
                potential[t, i] += system.potential[t, i]
                for j in range(labels):
                    step = system.flow[t, i, j]
                    flow[t, i, j] += step
                    change = max(change, abs(step - last_step[t, i, j]))
                    last_step[t, i, j] = step
        if change <= UNCHANGED * unit:
            break
    return gain


@njit(nogil=True, cache=True)
def _gain(value: np.ndarray, flow: np.ndarray, path: np.ndarray) -> float:
    """What could be gained at most, by the slope at `flow`; writes the labels of the best sequence into `path`."""
    length, labels, _ = value.shape
    best, extended = np.full(labels, -np.inf), np.empty(labels)
    best[0] = 0.0
    previous, share = np.zeros((length, labels), np.int64), np.zeros((length, labels))
    write_labels(flow, share)
    earned = 0.0
    for t in range(length):
        extended[:] = -np.inf
        for j in range(labels):
            for i in range(labels):
                slope = value[t, i, j] - share[t, j]
                if slope > -np.inf:
                    earned += slope * flow[t, i, j]
                    if best[i] + slope > extended[j]:
                        extended[j], previous[t, j] = best[i] + slope, i
        best[:] = extended
    label = best.argmax()
    gain = best[label] - earned
    for t in range(length - 1, -1, -1):
        path[t] = label
        label = previous[t, label]
    return gain
