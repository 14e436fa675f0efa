"""What a trainer multiplies a loss by does not change what a surrogate gradient is."""

import pytest
import torch

from spigot_allennlp.structures import NonprojectiveTree
from spigot_allennlp.surrogates import Spigot, StructuredArgmax
from tests.surrogates.table import SURROGATES, Surrogate

MASK = torch.arange(6) < torch.tensor([[6], [1], [4]])
EVERY = [surrogate for surrogate in SURROGATES if surrogate.polytope != "arcs_then_labels"]


def random(seed: int) -> torch.Tensor:
    return torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def pull(layer: StructuredArgmax, factor: float, announced: bool = True) -> torch.Tensor:
    """The gradient of the scores, of a loss that is multiplied by `factor` before it goes backward."""
    torch.manual_seed(0)
    scores, weights = random(0).requires_grad_(), random(1).requires_grad_()
    loss = (weights * layer(scores, MASK)).pow(2).sum()  # depends on the weights even if not on the scores
    if announced:
        layer.see_gradient_of(loss)
    (factor * loss).backward()
    return torch.zeros_like(scores) if scores.grad is None else scores.grad


@pytest.mark.parametrize("factor", [65536.0, 1 / 3, 0.0, -2.0])
@pytest.mark.parametrize("surrogate", EVERY, ids=str)
def test_a_factor_passes_through(surrogate: Surrogate, factor: float) -> None:
    noise = {"noise_scale": 1.0} if surrogate.type in ("imle", "perturb_and_map") else {}
    layer = surrogate.build(NonprojectiveTree(), **noise)
    torch.testing.assert_close(pull(layer, factor), factor * pull(layer, 1.0))


def test_a_rule_that_is_not_told_sees_another_gradient() -> None:
    assert not torch.allclose(
        pull(Spigot(NonprojectiveTree()), 100.0, announced=False), 100 * pull(Spigot(NonprojectiveTree()), 1.0)
    )


def test_a_factor_is_not_remembered() -> None:
    layer = Spigot(NonprojectiveTree())
    pull(layer, 65536.0)
    assert torch.equal(pull(layer, 1.0, announced=False), pull(Spigot(NonprojectiveTree()), 1.0))


def test_a_gradient_that_overflows_does_so_to_the_end() -> None:
    """So that the scaler skips the step and takes a smaller factor."""
    assert pull(Spigot(NonprojectiveTree()), float("inf")).isnan().any()


def test_a_loss_without_gradient_is_taken() -> None:
    Spigot(NonprojectiveTree()).see_gradient_of(torch.tensor(1.0))
