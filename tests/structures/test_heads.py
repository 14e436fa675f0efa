"""What is special to structures in which every token has one head."""

import pytest
import torch

from tests import oracles
from tests.structures.table import ROWS, Row

TREES = pytest.mark.parametrize("row", [row for row in ROWS if row.cells == "heads" and "tree" in row.name], ids=str)


@TREES
@pytest.mark.parametrize("operation", ["argmax", "log_partition", "marginals", "project"])
def test_trees_that_only_the_whole_sentence_excludes(row: Row, operation: str) -> None:
    """Each token has a head, but there is no tree: a cycle that nothing enters, or two tokens that need ROOT."""
    scores = row.random(0, 2, 4)
    scores[1, 1, [0, 3]] = scores[1, 2, [0, 3]] = float("-inf")
    with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
        row.call(operation, scores)
    if row.config["single_root"]:
        scores = row.random(0, 2, 4)
        scores[1, 1, 2:] = scores[1, 3, 1:] = float("-inf")
        with pytest.raises(ValueError, match="sentence 1 has no legal structure"):
            row.call(operation, scores)


@TREES
def test_trees_of_long_sentences_are_trees(row: Row) -> None:
    z = row.call("argmax", row.random(1, 5, 40))
    assert torch.equal(z.sum(2)[:, 1:], torch.ones(5, 39, dtype=torch.double))
    for heads in z[:, 1:].argmax(2).tolist():
        heads = (0, *heads)
        assert oracles.is_tree(heads)
        assert oracles.has_single_root(heads) or not row.config["single_root"]
        assert oracles.is_projective(heads) or row.config["type"] != "projective_tree"


@TREES
def test_the_relaxation_of_trees_is_larger_than_their_hull(row: Row) -> None:
    points = row.random(2, 10)
    assert not torch.allclose(row.call("project_local", points), row.call("project", points))


def test_for_single_heads_both_projections_are_one() -> None:
    (row,) = (row for row in ROWS if row.name == "single_head")
    points = row.random(2, 10)
    torch.testing.assert_close(row.call("project_local", points), row.call("project", points))
