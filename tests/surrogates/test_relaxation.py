import pytest
import torch

from spigot_allennlp.structures import NonprojectiveTree
from spigot_allennlp.surrogates import SparseMap, StructuredAttention
from spigot_allennlp.surrogates.relaxation import Relaxation

SCORES = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.double)
MASK = torch.arange(6) < torch.tensor([[6], [1], [4]])
both = pytest.mark.parametrize("relaxation", [StructuredAttention, SparseMap])


@both
@pytest.mark.parametrize("hard_at_test", [False, True])
def test_they_are_hard_at_test_if_asked(relaxation: type[Relaxation], hard_at_test: bool) -> None:
    layer = relaxation(NonprojectiveTree(), hard_at_test=hard_at_test)
    argmax = layer.structure.argmax(SCORES, MASK)
    assert not torch.equal(layer(SCORES, MASK), argmax) and layer.passes_mixture
    assert torch.equal(layer.eval()(SCORES, MASK), argmax) == hard_at_test
    assert layer.passes_mixture != hard_at_test


@both
def test_the_best_structure_at_test_has_no_gradient(relaxation: type[Relaxation]) -> None:
    layer = relaxation(NonprojectiveTree(), hard_at_test=True).eval()
    assert not layer(SCORES.clone().requires_grad_(), MASK).requires_grad


def test_sparsemap_mixes_few_structures() -> None:
    mixture = SparseMap(NonprojectiveTree())(SCORES, MASK)
    assert ((mixture > 0) & (mixture < 1)).any() and (mixture[0, 1:] == 0).sum() > 5 + 5  # beyond the diagonal
    attention = StructuredAttention(NonprojectiveTree())(SCORES, MASK)
    assert (attention[0, 1:] == 0).sum() == 5
