import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import KSubset
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


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(k):
    with pytest.raises(ConfigurationError, match="k must be positive"):
        KSubset(k)
