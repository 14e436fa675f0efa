import pytest
import torch

from spigot_allennlp.nn.errors import check_shapes, no_structure, not_a_score, raise_for_status
from spigot_allennlp.nn.kernels import NO_STRUCTURE, NOT_A_SCORE, OK

AXES = ("batch", "length", "length", "labels")


def check(*shape: int, mask_shape: tuple[int, ...] | None = None, has_root: bool = False) -> None:
    check_shapes(
        torch.zeros(shape), torch.ones(shape[:2] if mask_shape is None else mask_shape).bool(), *AXES, has_root=has_root
    )


def test_right_shapes_pass() -> None:
    check(2, 3, 3, 4, has_root=True)
    check(0, 3, 3, 4, has_root=True)
    check(2, 0, 0, 4)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        check_shapes(torch.zeros(2, 3, dtype=dtype), torch.ones(2, 3).bool(), "batch", "length")


@pytest.mark.parametrize(
    "shape, message",
    [
        ((2, 3, 3), "(2, 3, 3)"),
        ((2, 3, 4, 4), "(2, 3, 4, 4)"),
        ((2, 3, 3, 4, 1), "(2, 3, 3, 4, 1)"),
        ((2,), "(2)"),
    ],
)
def test_other_axes_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError) as info:
        check(*shape)
    assert (
        str(info.value) == f"expected floating scores (batch, length, length, labels), found torch.float32, {message}"
    )


def test_other_types_are_refused() -> None:
    scores, mask = torch.zeros(2, 3), torch.ones(2, 3).bool()
    with pytest.raises(ValueError, match=r"^expected floating scores \(batch, length\), found torch.int64, \(2, 3\)$"):
        check_shapes(scores.long(), mask, "batch", "length")
    with pytest.raises(ValueError, match=r"^expected a bool mask \(2, 3\), found torch.uint8, \(2, 3\)$"):
        check_shapes(scores, mask.byte(), "batch", "length")


def test_masks_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected a bool mask \(2, 3\), found torch.bool, \(2, 4\)$"):
        check(2, 3, 3, 4, mask_shape=(2, 4))


def test_nothing_to_choose_from_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected at least one of labels, found none$"):
        check(2, 3, 3, 0)
    with pytest.raises(ValueError, match=r"^expected ROOT at position 0 of every sentence, found no position$"):
        check(2, 0, 0, 4, has_root=True)


def test_what_kernels_return_is_raised() -> None:
    raise_for_status(OK, 3)
    for status, error in ((NOT_A_SCORE, not_a_score(3)), (NO_STRUCTURE, no_structure(3))):
        with pytest.raises(ValueError, match="sentence 3") as info:
            raise_for_status(status, 3)
        assert str(info.value) == str(error)
