"""What is refused at the door, by every structure and every one of its operations, in one phrasing."""

import pytest
import torch

from spigot_allennlp.structures import (
    KSubset,
    LinearChain,
    NonprojectiveTree,
    ProjectiveTree,
    SemanticGraph,
    SingleHead,
    Structure,
)

# A structure, and the names of the axes of its scores.
ROWS = {
    "single_head": (SingleHead(), "batch, length, length"),
    "nonprojective_tree": (NonprojectiveTree(), "batch, length, length"),
    "projective_tree": (ProjectiveTree(), "batch, length, length"),
    "linear_chain": (LinearChain(), "batch, length, labels, labels"),
    "k_subset": (KSubset(2), "batch, length"),
    "semantic_graph": (SemanticGraph(), "batch, length, length, labels"),
    "semantic_graph, predicates": (SemanticGraph(predicates=True), "batch, length, length, labels"),
}
SIZES = {"batch": 2, "length": 4, "labels": 3}
OPERATIONS = ["argmax", "log_partition", "marginals", "project", "project_local", "parts"]
every_operation = pytest.mark.parametrize("operation", OPERATIONS)
every_structure = pytest.mark.parametrize("name", ROWS)


def shape_of(name: str, **sizes: int) -> list[int]:
    return [{**SIZES, **sizes}[axis] for axis in ROWS[name][1].split(", ")]


def call(name: str, operation: str, scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    structure: Structure = ROWS[name][0]
    mask = torch.ones(scores.shape[:2], dtype=torch.bool) if mask is None else mask
    return getattr(structure, operation)(scores, mask)


@every_structure
@every_operation
@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
@pytest.mark.usefixtures("unchecked_shapes")
def test_whole_numbers_are_no_scores(name: str, operation: str, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=rf"expected floating scores \({ROWS[name][1]}\), found {dtype}, \(2, 4"):
        call(name, operation, torch.ones(shape_of(name)).to(dtype))


@every_structure
@every_operation
@pytest.mark.usefixtures("unchecked_shapes")
def test_another_number_of_axes(name: str, operation: str) -> None:
    for scores in (torch.zeros(*shape_of(name), 2), torch.zeros(2)):
        with pytest.raises(
            ValueError, match=rf"expected floating scores \({ROWS[name][1]}\), found torch\.float32, \(2"
        ):
            call(name, operation, scores, torch.ones(2, 4, dtype=torch.bool))


@pytest.mark.parametrize("name", [name for name in ROWS if "length, length" in ROWS[name][1]])
@every_operation
@pytest.mark.usefixtures("unchecked_shapes")
def test_rows_and_columns_of_other_lengths(name: str, operation: str) -> None:
    shape = shape_of(name)
    shape[2] = 5
    with pytest.raises(ValueError, match=r"expected floating scores .*, found torch\.float32, \(2, 4, 5"):
        call(name, operation, torch.zeros(shape))


@pytest.mark.parametrize("name", [name for name in ROWS if "labels" in ROWS[name][1]])
@every_operation
def test_no_labels(name: str, operation: str) -> None:
    with pytest.raises(ValueError, match="expected at least one of labels, found none"):
        call(name, operation, torch.zeros(shape_of(name, labels=0)))


@every_structure
@every_operation
@pytest.mark.usefixtures("unchecked_shapes")
def test_masks_of_other_shapes_and_dtypes(name: str, operation: str) -> None:
    scores = torch.zeros(shape_of(name))
    for mask in (torch.ones(2, 4), torch.ones(2, 4, dtype=torch.long), torch.ones(2, 5, dtype=torch.bool)):
        with pytest.raises(
            ValueError, match=rf"expected a bool mask \(2, 4\), found {mask.dtype}, \(2, {mask.size(1)}\)"
        ):
            call(name, operation, scores, mask)


@pytest.mark.parametrize("name", [name for name in ROWS if "length, length" in ROWS[name][1]])
@every_operation
def test_no_position_for_root(name: str, operation: str) -> None:
    with pytest.raises(ValueError, match="expected ROOT at position 0 of every sentence, found no position"):
        call(name, operation, torch.zeros(shape_of(name, length=0)))


@every_structure
@every_operation
def test_an_empty_batch_is_taken(name: str, operation: str) -> None:
    result = call(name, operation, torch.zeros(shape_of(name, batch=0)))
    assert len(result) == 0
