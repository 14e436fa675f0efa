import itertools

import pytest

from spigot_allennlp.data.trees import find_tree_fault


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_tree_is_where_every_walk_ends_in_the_root(size):
    for heads in itertools.product(range(size + 1), repeat=size):
        ends = set(range(size + 1))
        for _ in range(size):
            ends = {0 if position == 0 else heads[position - 1] for position in ends}
        assert (find_tree_fault(heads) is None) == (ends == {0}), heads


@pytest.mark.parametrize(
    "heads, position, message",
    [
        ([0, 3], 2, "from 0 to 2, found 3"),
        ([-1], 1, "from 0 to 1, found -1"),
        ([0, 2], 2, "from 2 to itself"),
        ([0, 3, 4, 3], 3, "cycle"),
        ([None, 3, 2], 2, "cycle"),
        ([None, 2], 2, "from 2 to itself"),
    ],
)
def test_the_token_at_fault_is_named(heads, position, message):
    found, text = find_tree_fault(heads)
    assert found == position
    assert message in text


def test_a_long_chain_is_no_recursion():
    assert find_tree_fault(range(20_000)) is None


def test_heads_that_are_not_known_are_no_fault():
    assert find_tree_fault([None, 1, None, 3]) is None
