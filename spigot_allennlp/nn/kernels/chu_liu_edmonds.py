import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.sentence import load_sentence

UNSEEN, ON_PATH, ROOTED = 0, 1, 2


@njit(nogil=True, cache=True)
def maximum_arborescences(scores: np.ndarray, mask: np.ndarray, single_root: bool, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the best arborescence of every sentence into `z`, which comes in as zeros; see
    [`maximum_arborescence`](../arborescence.md). Returns a status and the sentence it is about.

    A path is grown backwards from each token in turn, along best incoming arcs, until it meets ROOT or what already
    hangs from ROOT. When it runs into itself, the cycle is contracted: the row of its incoming arcs is the elementwise
    maximum of its members' rows, each less the arc it would give up. Every step of the path and every member of a cycle
    costs O(length), and there are fewer than twice as many of either as there are tokens.

    To have as few arcs from ROOT as possible, before all else, is to maximise the pairs (minus arcs from ROOT, score).
    No arc on a cycle comes from ROOT, so the first half never changes under contraction, and the order of pairs comes
    down to this: a component takes ROOT only where it can have no other head.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    # A component is known by one of its tokens. Of the arcs that enter component c from token h, the best has the
    # (reduced) score weight[c, h], and its modifier is entry[c, h].
    weight = np.empty((length, length), np.float64)
    entry = np.empty((length, length), np.int64)
    component = np.empty(length, np.int64)
    state = np.empty(length, np.int64)
    path = np.empty(length, np.int64)
    place = np.empty(length, np.int64)
    best_weight = np.empty(length, np.float64)
    # The contraction forest: its nodes are the tokens and then the cycles, in the order of their contraction.
    node = np.empty(length, np.int64)
    parent = np.empty(2 * length, np.int64)
    chosen_head = np.empty(2 * length, np.int64)
    chosen_modifier = np.empty(2 * length, np.int64)
    settled = np.empty(2 * length, np.bool_)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, weight)
        if size < 0:
            return NOT_A_SCORE, sentence
        for position in range(size):
            entry[position, :size] = position
            component[position] = position
            node[position] = position
            state[position] = UNSEEN
        state[0] = ROOTED
        num_nodes = size

        for start in range(1, size):
            if state[component[start]] == ROOTED:
                continue
            current = start
            depth = 0
            path[0] = current
            place[current] = 0
            state[current] = ON_PATH
            while True:
                head = 0
                best = -np.inf if single_root else weight[current, 0]
                for candidate in range(1, size):
                    if weight[current, candidate] > best:
                        best = weight[current, candidate]
                        head = candidate
                if best == -np.inf:
                    best = weight[current, 0]
                    if best == -np.inf:
                        return NO_STRUCTURE, sentence
                best_weight[current] = best
                chosen_head[node[current]] = head
                chosen_modifier[node[current]] = entry[current, head]
                source = component[head]
                if state[source] == ROOTED:
                    break
                if state[source] == UNSEEN:
                    depth += 1
                    path[depth] = source
                    place[source] = depth
                    state[source] = ON_PATH
                    current = source
                    continue
                # A cycle: everything on the path from `source` on, which gives the new component its name.
                bottom = place[source]
                for head in range(size):
                    weight[source, head] -= best_weight[source]
                parent[node[source]] = num_nodes
                for step in range(bottom + 1, depth + 1):
                    member = path[step]
                    parent[node[member]] = num_nodes
                    for head in range(size):
                        reduced = weight[member, head] - best_weight[member]
                        if reduced > weight[source, head]:
                            weight[source, head] = reduced
                            entry[source, head] = entry[member, head]
                for head in range(1, size):
                    if state[component[head]] == ON_PATH and place[component[head]] >= bottom:
                        component[head] = source
                        weight[source, head] = -np.inf
                node[source] = num_nodes
                num_nodes += 1
                depth = bottom
                current = source
            for step in range(depth + 1):
                state[path[step]] = ROOTED

        # The arc into a cycle replaces that of the member it enters, and so on down to the token. A cycle has a higher
        # number than its members, so it is settled before them.
        arcs_from_root = 0
        settled[:num_nodes] = False
        for top in range(num_nodes - 1, 0, -1):
            if settled[top]:
                continue
            arcs_from_root += chosen_head[top] == 0
            z[sentence, token[chosen_modifier[top]], token[chosen_head[top]]] = 1
            below = chosen_modifier[top]
            while below != top:
                settled[below] = True
                below = parent[below]
        if single_root and arcs_from_root > 1:
            return NO_STRUCTURE, sentence
    return OK, 0
