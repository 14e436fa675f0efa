import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import KSubset
from tests.oracles_more import subsets_up_to
from tests.oracles_sequences import k_subsets
from tests.structures.contract import StructureContract


class TestKSubset(StructureContract):
    config = {"type": "k_subset", "k": 2}  # noqa: RUF012
    length = 5

    def structures(self, length: int) -> torch.Tensor:
        return k_subsets(length, 2)


class TestKSubsetThatIsEverything(StructureContract):
    config = {"type": "k_subset", "k": 9}  # noqa: RUF012

    def structures(self, length: int) -> torch.Tensor:
        return k_subsets(length, 9)


class TestKSubsetOfAtMost(StructureContract):
    config = {"type": "k_subset", "k": 2, "exactly": False}  # noqa: RUF012
    length = 5

    def structures(self, length: int) -> torch.Tensor:
        return subsets_up_to(length, 2)


class TestKSubsetOfAny(StructureContract):
    config = {"type": "k_subset", "k": 9, "exactly": False}  # noqa: RUF012

    def structures(self, length: int) -> torch.Tensor:
        return subsets_up_to(length, 9)


def test_at_most_k_of_a_long_sentence():
    scores = torch.randn(3, 200, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    scores[0, 5] = -torch.inf
    scores[2] = -1 - scores[2].abs()
    mask = torch.arange(200) < torch.tensor([[200], [12], [200]])
    structure = KSubset(20, exactly=False)
    z, marginals = structure.argmax(scores, mask), structure.marginals(scores, mask)
    assert z.sum(1).tolist() == [20, (scores[1, :12] > 0).sum(), 0]
    assert (marginals[:, 5] == torch.tensor([0.0, marginals[1, 5], marginals[2, 5]])).all()
    # With more positions to choose from than there are, each is chosen by itself.
    torch.testing.assert_close(marginals[1, :12], scores[1, :12].sigmoid())
    assert (marginals.sum(1) < 20).all() and marginals[0].sum() > 19
    projection = structure.project(scores, mask)
    torch.testing.assert_close(projection[1:], scores[1:].clamp(0, 1) * mask[1:])
    torch.testing.assert_close(projection[:1], KSubset(20).project(scores[:1], mask[:1]))
    assert not structure.project(scores.masked_fill(mask, -torch.inf), mask).any()


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(k):
    with pytest.raises(ConfigurationError, match="k must be a positive number"):
        KSubset(k)
