from collections.abc import Sequence


def find_tree_fault(heads: Sequence[int | None]) -> tuple[int, str] | None:
    """
    Why `heads` is not a dependency tree, or no part of one. Several tokens may have ROOT as their head.

    # Parameters

    heads : `Sequence[int | None]`
        The head of each token: 1-based positions, 0 for ROOT, `None` where it is not known.

    # Returns

    `tuple[int, str]` or `None`
        The 1-based position of a token at fault, and what was expected of it; `None` for a tree.
    """
    for modifier, head in enumerate(heads, start=1):
        if head is None:
            continue
        if not 0 <= head <= len(heads):
            return modifier, f"expected a head from 0 to {len(heads)}, found {head}"
        if head == modifier:
            return modifier, f"expected another token as head, found an arc from {head} to itself"
    # The walk towards ROOT in which a position was first met. Meeting one of the same walk again is a cycle.
    met_in = {0: 0}
    for start in range(1, len(heads) + 1):
        position = start
        while position not in met_in:
            met_in[position] = start
            position = heads[position - 1] or 0
        if met_in[position] == start:
            return position, "expected heads that lead to 0, the root, found a cycle"
    return None
