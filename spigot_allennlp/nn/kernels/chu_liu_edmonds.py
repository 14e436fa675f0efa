import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.sentence import load_sentence

UNSEEN, ON_PATH, ROOTED = 0, 1, 2


@njit(nogil=True, cache=True)
def maximum_arborescences(scores: np.ndarray, mask: np.ndarray, single_root: bool, z: np.ndarray) -> tuple[int, int]:
    """
    Writes the best arborescence of every sentence into `z`, which comes in as zeros; see
    [`NonprojectiveTree`](../../structures/nonprojective_tree.md). Returns a status and the sentence it is about.
    """
    batch_size, length = mask.shape
    token = np.empty(length, np.int64)
    weight = np.empty((length, length), np.float64)
    entry = np.empty((length, length), np.int64)
    forest = np.empty((4, 2 * length), np.int64)
    chosen_weight = np.empty(2 * length, np.float64)
    work = np.empty((5, length), np.int64)
    head_of = np.empty(length, np.int64)

    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, weight)
        if size < 0:
            return NOT_A_SCORE, sentence
        num_nodes = contract(weight, size, single_root, entry, forest, chosen_weight, work)
        if num_nodes < 0 or (expand(forest, num_nodes, size, head_of) > 1 and single_root):
            return NO_STRUCTURE, sentence
        for modifier in range(1, size):
            z[sentence, token[modifier], token[head_of[modifier]]] = 1
    return OK, 0


@njit(nogil=True, cache=True)
def contract(
    weight: np.ndarray,
    size: int,
    single_root: bool,
    entry: np.ndarray,
    forest: np.ndarray,
    chosen_weight: np.ndarray,
    work: np.ndarray,
) -> int:
    """
    Builds the contraction forest of the arcs' `weight`, `[modifier, head]`, which is overwritten. Its nodes are the
    tokens and then the cycles, in the order of their contraction. Each node's `parent` (0 for none), the head and the
    modifier of the best arc that enters it are rows of `forest`; the arc's weight, less those of the arcs that it
    replaces inside, is in `chosen_weight`. Returns the number of nodes, or -1 where a token cannot have a head.

    A path is grown backwards from each token in turn, along best incoming arcs, until it meets ROOT or what already
    hangs from ROOT. When it runs into itself, the cycle is contracted: the row of its incoming arcs is the elementwise
    maximum of its members' rows, each less the arc it would give up. Every step of the path and every member of a cycle
    costs O(length), and there are fewer than twice as many of either as there are tokens.

    To have as few arcs from ROOT as possible, before all else, is to maximise the pairs (minus arcs from ROOT, score).
    No arc on a cycle comes from ROOT, so the first half never changes under contraction, and the order of pairs comes
    down to this: a component takes ROOT only where it can have no other head.
    """
    parent, chosen_head, chosen_modifier = forest[0], forest[1], forest[2]
    # A component is known by one of its tokens. Of the arcs that enter component c from token h, the best has the
    # (reduced) score weight[c, h], and its modifier is entry[c, h].
    component, state, path, place, node = work[0], work[1], work[2], work[3], work[4]
    for position in range(size):
        entry[position, :size] = position
        component[position] = position
        node[position] = position
        state[position] = UNSEEN
        parent[position] = 0
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
                    return -1
            chosen_weight[node[current]] = best
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
            given_up = chosen_weight[node[source]]
            for head in range(size):
                weight[source, head] -= given_up
            parent[node[source]] = num_nodes
            for step in range(bottom + 1, depth + 1):
                member = path[step]
                parent[node[member]] = num_nodes
                given_up = chosen_weight[node[member]]
                for head in range(size):
                    reduced = weight[member, head] - given_up
                    if reduced > weight[source, head]:
                        weight[source, head] = reduced
                        entry[source, head] = entry[member, head]
            for head in range(1, size):
                if state[component[head]] == ON_PATH and place[component[head]] >= bottom:
                    component[head] = source
                    weight[source, head] = -np.inf
            node[source] = num_nodes
            parent[num_nodes] = 0
            num_nodes += 1
            depth = bottom
            current = source
        for step in range(depth + 1):
            state[path[step]] = ROOTED
    return num_nodes


@njit(nogil=True, cache=True)
def expand(forest: np.ndarray, num_nodes: int, size: int, head_of: np.ndarray) -> int:
    """
    Writes the heads that a contraction forest stands for into `head_of`, and returns how many of them are ROOT. The arc
    into a cycle replaces that of the member it enters, and so on down to the token; the last row of `forest` says which
    nodes have lost theirs. A cycle has a higher number than its members, so it is settled before them.
    """
    parent, chosen_head, chosen_modifier, replaced = forest[0], forest[1], forest[2], forest[3]
    arcs_from_root = 0
    replaced[:num_nodes] = False
    for top in range(num_nodes - 1, 0, -1):
        if replaced[top]:
            continue
        arcs_from_root += chosen_head[top] == 0
        head_of[chosen_modifier[top]] = chosen_head[top]
        below = chosen_modifier[top]
        while below != top:
            replaced[below] = True
            below = parent[below]
    return arcs_from_root
