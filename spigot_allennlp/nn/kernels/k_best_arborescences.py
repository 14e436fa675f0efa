import numpy as np
from numba import njit

from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK
from spigot_allennlp.nn.kernels.chu_liu_edmonds import contract, expand
from spigot_allennlp.nn.kernels.sentence import load_sentence, write_ranked

# What a rule says of an arc: it is not there; it is there; it is the only one from ROOT.
FORBIDDEN, FORCED, ONLY = range(3)
NONE = -1


@njit(nogil=True, cache=True)
def k_best_arborescences(
    scores: np.ndarray, mask: np.ndarray, single_root: bool, heads: np.ndarray, totals: np.ndarray
) -> tuple[int, int]:
    """
    Fills `heads`, `(k, batch, length)`, with the best arborescences, best first, and `totals`, `(k, batch)`, with their
    scores. They come in as -1 and -inf. Returns a status and the sentence it is about.

    The method of [Camerini, Fratta & Maffioli, 1980](https://doi.org/10.1002/net.3230100202): a set of trees whose best
    one is known is split by an arc of that one. It is the arc without which the second best is found, so that only the
    trees that lack it have to be searched; see [`_runner_up`](#_runner_up). That takes two contractions for each tree.

    With a single root, trees with the same token under ROOT are a set ([Zmigrod et al.,
    2021](https://aclanthology.org/2021.acl-long.423/), section 4), and the next one is that of the best tree without
    any of the tokens under ROOT so far.
    """
    k, batch_size, length = heads.shape
    token = np.empty(length, np.int64)
    arc = np.empty((length, length), np.float64)
    space = (
        np.empty((length, length), np.float64),
        np.empty((length, length), np.float64),
        np.empty((length, length), np.int64),
        np.empty((4, 2 * length), np.int64),
        np.empty(2 * length, np.float64),
        np.empty((5, length), np.int64),
        np.empty(length, np.bool_),
    )
    found = np.empty((k, length), np.int64)
    for sentence in range(batch_size):
        size = load_sentence(scores[sentence], mask[sentence], token, arc)
        if size < 0:
            return NOT_A_SCORE, sentence
        count = _enumerate(arc, size, single_root, space, found)
        if count == 0:
            return NO_STRUCTURE, sentence
        write_ranked(found[:count], arc, size, token, heads[:, sentence], totals[:, sentence])
    return OK, 0


@njit(nogil=True, cache=True)
def _enumerate(arc, size, single_root, space, found):
    """Writes the heads of the best trees into `found`, and returns how many there are."""
    k = len(found)
    if size == 1:
        return 1
    head_of = np.empty(size, np.int64)
    # Rules are linked lists: the rule before, the arc's modifier and head, and what is said of it.
    rules = np.empty((3 * k + 1, 4), np.int64)
    num_rules = 0
    # Sets to search: their rules, a tree, and which token shall have another head; NONE where the tree is the best.
    trees = np.empty((3 * k + 1, size), np.int64)
    sets = np.empty((3 * k + 1, 2), np.int64)
    worth = np.full(3 * k + 1, -np.inf)

    if _solve(arc, size, rules, NONE, single_root, space, head_of) < 0:
        return 0
    trees[0] = head_of
    sets[0] = NONE, NONE
    worth[0] = _total(arc, head_of)
    num_sets = 1
    for rank in range(k):
        best = np.argmax(worth[:num_sets])
        if worth[best] == -np.inf:
            return rank
        rule, modifier = sets[best]
        tree = trees[best]
        worth[best] = -np.inf
        # Which rules the two sets have that are left without the tree found, and whether they ask for a single root.
        if modifier == NONE and single_root:
            found[rank, :size] = tree
            top = 1 + np.argmin(tree[1:])
            rules[num_rules] = rule, top, 0, ONLY
            rules[num_rules + 1] = rule, top, 0, FORBIDDEN
            if _solve(arc, size, rules, num_rules + 1, True, space, head_of) >= 0:
                trees[num_sets] = head_of
                sets[num_sets] = num_rules + 1, NONE
                worth[num_sets] = _total(arc, head_of)
                num_sets += 1
            _solve(arc, size, rules, num_rules, False, space, head_of)
            num_sets = _push_rest(arc, tree, size, num_rules, space, head_of, trees, sets, worth, num_sets)
        elif modifier == NONE:
            found[rank, :size] = tree
            _solve(arc, size, rules, rule, False, space, head_of)
            num_sets = _push_rest(arc, tree, size, rule, space, head_of, trees, sets, worth, num_sets)
        else:
            rules[num_rules] = rule, modifier, tree[modifier], FORBIDDEN
            rules[num_rules + 1] = rule, modifier, tree[modifier], FORCED
            _solve(arc, size, rules, num_rules, False, space, head_of)
            found[rank, :size] = head_of
            num_sets = _push_rest(
                arc, found[rank, :size], size, num_rules, space, head_of, trees, sets, worth, num_sets
            )
            _solve(arc, size, rules, num_rules + 1, False, space, head_of)
            num_sets = _push_rest(arc, tree, size, num_rules + 1, space, head_of, trees, sets, worth, num_sets)
        num_rules += 2
    return k


@njit(nogil=True, cache=True)
def _push_rest(arc, tree, size, rule, space, head_of, trees, sets, worth, num_sets):
    """Adds the set of all other trees that keep to the rule than its best, `tree`; returns how many sets there are."""
    loss, modifier = _runner_up(tree, size, space, head_of)
    if modifier == NONE:
        return num_sets
    trees[num_sets] = tree
    sets[num_sets] = rule, modifier
    worth[num_sets] = _total(arc, tree) - loss
    return num_sets + 1


@njit(nogil=True, cache=True)
def _total(arc, tree):
    total = 0.0
    for modifier in range(1, len(tree)):
        total += arc[modifier, tree[modifier]]
    return total


@njit(nogil=True, cache=True)
def _solve(arc, size, rules, rule, single_root, space, head_of):
    """The best tree that keeps to the rules, into `head_of`; returns the number of nodes of the forest, or -1."""
    limited, weight, entry, forest, chosen_weight, work, is_forced = space
    limited[:size, :size] = arc[:size, :size]
    is_forced[:size] = False
    while rule != NONE:
        before, modifier, head, kind = rules[rule]
        if kind == FORBIDDEN:
            limited[modifier, head] = -np.inf
        else:
            score = limited[modifier, head]
            limited[modifier, :size] = -np.inf
            is_forced[modifier] = True
            if kind == ONLY:
                limited[:size, 0] = -np.inf
            limited[modifier, head] = score
        rule = before
    weight[:size, :size] = limited[:size, :size]
    num_nodes = contract(weight, size, single_root, entry, forest, chosen_weight, work)
    if num_nodes < 0 or (expand(forest, num_nodes, size, head_of) > 1 and single_root):
        return -1
    return num_nodes


@njit(nogil=True, cache=True)
def _runner_up(tree, size, space, head_of):
    """
    By how much the second best tree that keeps to the rules is worse than the best one, and a token that has another
    head there; infinity and NONE if there is no second one.

    It differs from the best one by one exchange where some node of the contraction forest is entered: the arc there
    gives way to the best other one that comes from outside of what hangs from it. An arc h -> m enters the nodes around
    m, and is worth its weight less what it replaces inside of them. As the weights of arcs into cycles are not
    positive, less is lost the further out that is.
    """
    limited, _, _, forest, chosen_weight, work, is_forced = space
    parent, chosen_modifier, is_replaced = forest[0], forest[2], forest[3]
    for modifier in range(1, size):
        if head_of[modifier] != tree[modifier]:
            # A tie: the contraction has found another tree that is as good.
            return 0.0, modifier
    first, last = work[0], work[1]
    _number(tree, size, first, last, work[2], work[3], work[4])
    # Of the nodes around a token, from within outwards: the modifiers of the arcs that enter them in the tree, and what
    # an arc needs to be as good.
    entered = work[2]
    enough = np.empty(size)
    least = np.inf
    token = NONE
    for modifier in range(1, size):
        num_nodes = 0
        node = modifier
        total = 0.0
        while node != 0:
            total += chosen_weight[node]
            if not is_replaced[node]:
                entered[num_nodes] = chosen_modifier[node]
                enough[num_nodes] = total
                num_nodes += 1
            node = parent[node]
        for head in range(size):
            if limited[modifier, head] == -np.inf or tree[modifier] == head:
                continue
            for outside in range(num_nodes - 1, -1, -1):
                if enough[outside] - limited[modifier, head] >= least:
                    break
                top = entered[outside]
                if not is_forced[top] and not first[top] <= first[head] <= last[top]:
                    least = enough[outside] - limited[modifier, head]
                    token = top
                    break
    return max(least, 0.0), token


@njit(nogil=True, cache=True)
def _number(tree, size, first, last, child, sibling, path):
    """Numbers tokens such that those which hang from one, and itself, have the numbers from `first` to `last`."""
    child[:size] = NONE
    for modifier in range(1, size):
        sibling[modifier] = child[tree[modifier]]
        child[tree[modifier]] = modifier
    depth = 0
    path[0] = 0
    first[0] = 0
    number = 0
    while depth >= 0:
        current = path[depth]
        below = child[current]
        if below == NONE:
            last[current] = number
            depth -= 1
        else:
            child[current] = sibling[below]
            depth += 1
            path[depth] = below
            number += 1
            first[below] = number
