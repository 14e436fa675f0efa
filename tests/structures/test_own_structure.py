"""What the base class makes of the few methods that a structure of one's own writes."""

import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates import SpigotEg, StructuredAttention


class Nested(Structure):
    """The first k tokens, for any k from 0 to their number: as many structures as positions, and one more."""

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        totals = self._totals(scores.detach(), mask)
        positions = torch.arange(scores.size(1))
        return (positions < totals.argmax(1, keepdim=True)).to(scores.dtype) * mask

    def _totals(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # Shape: (batch, length + 1)
        totals = torch.nn.functional.pad(scores.where(mask, 0.0).cumsum(1), (1, 0))
        return totals.masked_fill(~torch.nn.functional.pad(mask, (1, 0), value=True), -torch.inf)


class NestedWithSum(Nested):
    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self._totals(scores, mask).logsumexp(1)


MASK = torch.arange(4) < torch.tensor([[4], [2], [1]])


def scores() -> torch.Tensor:
    return torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def expected_marginals(values: torch.Tensor) -> torch.Tensor:
    rows = []
    for row, length in zip(values, (4, 2, 1), strict=True):
        every = torch.tril(torch.ones(5, 4, dtype=torch.double), -1)[: length + 1]
        rows.append((every @ row).softmax(0) @ every)
    return torch.stack(rows)


def test_marginals_follow_from_a_log_partition() -> None:
    structure = NestedWithSum()
    assert {"argmax", "log_partition", "marginals", "project", "project_local"} <= structure.operations()
    torch.testing.assert_close(structure.marginals(scores(), MASK), expected_marginals(scores()))
    with torch.no_grad():
        torch.testing.assert_close(structure.marginals(scores(), MASK), expected_marginals(scores()))
    assert not structure.marginals(scores(), MASK).requires_grad


def test_they_can_be_differentiated_twice() -> None:
    marginals = NestedWithSum().marginals
    assert torch.autograd.gradcheck(lambda s: marginals(s, MASK), scores().requires_grad_())
    assert torch.autograd.gradgradcheck(lambda s: marginals(s, MASK), scores().requires_grad_())


def test_whoever_asks_for_them_leaves_the_scores_as_they_were() -> None:
    values = scores().requires_grad_()
    NestedWithSum().marginals(values, MASK)
    assert values.grad is None
    detached = scores()
    NestedWithSum().marginals(detached, MASK)
    assert not detached.requires_grad


def test_surrogates_take_them() -> None:
    values = scores().requires_grad_()
    soft = StructuredAttention(NestedWithSum())(values, MASK)
    torch.testing.assert_close(soft, expected_marginals(scores()))
    (gradient,) = torch.autograd.grad(SpigotEg(NestedWithSum(), 0.5, None)(values, MASK), values, scores())
    step = 0.5 * scores()
    torch.testing.assert_close(gradient, expected_marginals(scores()) - expected_marginals(scores() - step))


def test_without_a_log_partition_there_are_none() -> None:
    assert "marginals" not in Nested().operations()
    with pytest.raises(ConfigurationError, match="structured_attention needs marginals, and Nested has none"):
        StructuredAttention(Nested())


@pytest.mark.usefixtures("unchecked_shapes")
def test_whole_numbers_are_no_scores() -> None:
    with pytest.raises(ValueError, match=r"expected floating scores, found torch\.int64"):
        Nested().project(torch.zeros(3, 4, dtype=torch.long), MASK)
