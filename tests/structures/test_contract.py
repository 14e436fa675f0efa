"""What every structure promises: what it declares, what it makes of masks and types, and what it refuses."""

import inspect

import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import Structure
from tests.gpu import needs_gpu
from tests.structures.table import ALL, ROWS, Row, every_row, every_row_with

every_operation = every_row_with("argmax", "log_partition", "marginals", "project", "project_local")
# A cheap relaxation need not check its input.
every_checked_operation = every_row_with("argmax", "log_partition", "marginals", "project")
RUBBISH = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e9], dtype=torch.double)


def test_every_registered_structure_has_a_row() -> None:
    ours = {name for name in Structure.list_available() if Structure.by_name(name).__module__.startswith("spigot_")}
    assert ours <= {row.config["type"] for row in ROWS}


@every_row
def test_what_it_can_do_and_what_its_cells_mean_is_declared(row: Row) -> None:
    structure = row.build()
    assert structure.operations() & ALL == row.operations
    # What follows from sums; whoever can sum draws, too.
    of_sums = {"log_prob", "entropy", "cross_entropy", "kl", "minimum_bayes_risk", "sample"}
    assert structure.operations() - ALL == {"top_k"} | (of_sums if "log_partition" in row.operations else set())
    assert structure.cells == row.cells
    assert list(structure.polytopes()) == ["local", "exact", *row.more_polytopes]
    structure.require(*row.operations, by="a test")


@every_row
def test_what_is_not_declared_is_refused(row: Row) -> None:
    structure, scores = row.build(), row.random(0, 1)
    for operation in ALL - row.operations:
        with pytest.raises(ConfigurationError, match=f"^a test needs {operation}, and .* has none$"):
            structure.require("argmax", operation, by="a test")
        with pytest.raises(NotImplementedError):
            getattr(structure, operation)(scores, row.full_mask(scores))


@every_operation
def test_arguments_that_it_does_not_know_are_errors(row: Row, operation: str) -> None:
    scores = row.random(0, 1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'deterministc_labels'"):
        getattr(row.build(), operation)(scores, row.full_mask(scores), deterministc_labels=1)
    assert list(inspect.signature(getattr(row.build(), operation)).parameters)[1] == "mask"


@every_row
def test_parts_are_the_cells_that_structures_use(row: Row) -> None:
    mask = row.every_mask(row.length)
    parts = row.call("parts", row.random(0, len(mask)), mask)
    assert parts.dtype == torch.bool
    for found, sentence in zip(parts, mask, strict=True):
        assert torch.equal(found, row.used(sentence))


@every_operation
def test_any_mask_is_as_good_as_a_shorter_sentence(row: Row, operation: str) -> None:
    """Whatever stands in cells that are no parts, and whoever else is in the batch."""
    mask = row.every_mask(5)
    scores = row.random(1, len(mask), 5)
    parts = row.call("parts", scores, mask)
    rubbish = RUBBISH[torch.randint(4, scores.shape, generator=torch.Generator().manual_seed(1))]
    result = row.call(operation, scores.where(parts, rubbish), mask)
    for i, sentence in enumerate(mask):
        alone = row.call(operation, row.crop(scores[i], sentence)[None])[0]
        cropped = result[i] if operation == "log_partition" else row.crop(result[i], sentence)
        torch.testing.assert_close(cropped, alone, rtol=1e-7, atol=1e-6 if operation == "project" else 1e-7)
    assert operation == "log_partition" or not result[~parts].any()


@every_operation
@pytest.mark.parametrize("length", [1, 3])
def test_a_sentence_without_tokens_has_nothing(row: Row, operation: str, length: int) -> None:
    scores = row.random(2, 2, length).requires_grad_()
    result = row.call(operation, scores, torch.zeros_like(row.full_mask(scores)))
    assert torch.equal(result, torch.zeros_like(result))
    if result.requires_grad:
        result.sum().backward()
        assert torch.equal(scores.grad, torch.zeros_like(scores))


@every_operation
def test_empty_batches_and_lengths(row: Row, operation: str) -> None:
    some = row.random(3, 2)
    result = row.call(operation, some[:0])
    assert result.shape == row.call(operation, some)[:0].shape and result.dtype == torch.double
    if row.has_root:
        if operation != "project_local":
            with pytest.raises(ValueError, match="expected ROOT at position 0 of every sentence, found no position"):
                row.call(operation, row.random(3, 2, 0))
    else:
        result = row.call(operation, row.random(3, 2, 0))
        assert len(result) == 2 and not result.any()


@every_operation
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_types_are_kept_and_inputs_left_alone(row: Row, operation: str, dtype: torch.dtype) -> None:
    scores = row.random(4, 6).to(dtype)
    mask = row.full_mask(scores)
    mask[2, -1] = False
    before = scores.clone(), mask.clone()
    result = row.call(operation, scores, mask)
    assert result.dtype == dtype and not result.requires_grad
    assert torch.equal(scores, before[0]) and torch.equal(mask, before[1]) and not scores.requires_grad
    tolerance = max(20 * torch.finfo(dtype).eps, 1e-12)
    torch.testing.assert_close(
        result.double(), row.call(operation, scores.double(), mask), rtol=tolerance, atol=tolerance
    )


@every_operation
def test_any_layout_of_memory_will_do(row: Row, operation: str) -> None:
    scores = row.random(5, 5)
    scattered = scores.movedim(0, -1).contiguous().movedim(-1, 0)
    mask = row.full_mask(scores).movedim(0, -1).contiguous().movedim(-1, 0)
    assert not scattered.is_contiguous() and not mask.is_contiguous()
    torch.testing.assert_close(row.call(operation, scattered, mask), row.call(operation, scores))


@every_row_with("log_partition", "marginals", "project", "project_local")
def test_only_the_argmax_has_no_gradient(row: Row, operation: str) -> None:
    scores = row.random(6, 2).requires_grad_()
    assert not row.call("argmax", scores).requires_grad
    assert row.call(operation, scores).requires_grad
    with torch.no_grad():
        assert not row.call(operation, scores).requires_grad


@every_checked_operation
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_score_that_is_none_is_refused_by_its_sentence(row: Row, operation: str, value: float) -> None:
    scores = row.random(7, 6)
    parts = row.call("parts", scores)[4].nonzero()
    for part in parts[:: max(1, len(parts) // 5)].tolist():
        broken = scores.clone()
        broken[(4, *part)] = value
        with pytest.raises(ValueError, match=r"^expected scores below \+inf, found NaN or \+inf in sentence 4$"):
            row.call(operation, broken)


@every_checked_operation
@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_shapes_and_types_are_refused(row: Row, operation: str) -> None:
    scores = row.random(8, 2)
    mask = row.full_mask(scores)
    for wrong in (scores[0], scores.unsqueeze(-1), scores.long()):
        with pytest.raises(ValueError, match=r"^expected floating scores \(batch, .*\), found torch.\w+, \(2?.*\)$"):
            row.call(operation, wrong, mask)
    for wrong in (mask[:1], mask[:, 1:], mask.unsqueeze(-1), mask.double()):
        with pytest.raises(ValueError, match=r"^expected a bool mask \(2, .*\), found torch.\w+, \(.*\)$"):
            row.call(operation, scores, wrong)
    # Two axes are of one length, and two of one number of labels.
    for axis, name in enumerate(row.axes, start=1):
        if row.axes.count(name) > 1:
            with pytest.raises(ValueError, match=r"^expected floating scores \(batch, "):
                row.call(operation, torch.cat((scores, scores), axis), mask)
    if isinstance(row.axes[-1], int):
        empty = scores[(..., *[slice(0)] * sum(isinstance(axis, int) for axis in row.axes))]
        with pytest.raises(ValueError, match=r"^expected at least one of (labels|max_width), found none$"):
            row.call(operation, empty, mask)


@needs_gpu
@every_row
def test_tensors_on_a_gpu(row: Row) -> None:
    scores = row.random(9, 6)
    mask = row.full_mask(scores)
    mask[2, -1] = False
    for operation in row.operations:
        result = row.call(operation, scores.cuda(), mask.cuda())
        assert result.is_cuda
        torch.testing.assert_close(result.cpu(), row.call(operation, scores, mask))
