import torch

from tests.oracles_sequences import label_sequences
from tests.structures.contract import StructureContract


class TestLinearChain(StructureContract):
    config = {"type": "linear_chain"}  # noqa: RUF012
    inner_shape = (3, 3)

    def structures(self, length: int) -> torch.Tensor:
        return label_sequences(length, 3)


class TestLinearChainWithOneLabel(StructureContract):
    config = {"type": "linear_chain"}  # noqa: RUF012
    inner_shape = (1, 1)

    def structures(self, length: int) -> torch.Tensor:
        return label_sequences(length, 1)
