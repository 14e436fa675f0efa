import torch

from spigot_allennlp.structures import SemanticGraph
from tests.oracles_sequences import graphs
from tests.structures.contract import StructureContract


class TestSemanticGraph(StructureContract):
    config = {"type": "semantic_graph"}  # noqa: RUF012
    inner_shape = (2,)
    num_position_axes = 2
    has_root = True
    length = 3

    def structures(self, length: int) -> torch.Tensor:
        return graphs(length, 2)


class TestSemanticGraphWithDeterministicLabels(TestSemanticGraph):
    """What is summed over all graphs, or relaxed, leaves the rule out and is tested above."""

    context = {"deterministic_labels": torch.tensor([True, False])}  # noqa: RUF012
    methods = ("argmax", "project", "project_local")

    def structures(self, length: int) -> torch.Tensor:
        return graphs(length, 2, [True, False])


class TestSemanticGraphWithOnlyDeterministicLabels(TestSemanticGraph):
    context = {"deterministic_labels": torch.tensor([True, True])}  # noqa: RUF012
    methods = ("argmax", "project", "project_local")

    def structures(self, length: int) -> torch.Tensor:
        return graphs(length, 2, [True, True])


def test_all_methods_take_all_context():
    """Whatever a method makes of them, the same inputs reach every one."""
    scores = torch.randn(2, 4, 4, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    context = {"predicate_scores": torch.randn(2, 4), "deterministic_labels": torch.tensor([True, False, True])}
    structure = SemanticGraph()
    for method in ("argmax", "marginals", "project", "project_local", "project_released"):
        result = getattr(structure, method)(scores, mask, **context)
        assert result.shape == scores.shape and result.any()
        assert not result[~structure.parts(scores, mask, **context)].any()
    assert structure.log_partition(scores, mask, **context).shape == (2,)
    assert structure.best_labels(scores, mask, **context).shape == (2, 4, 4)


def test_released_projection_keeps_the_clipped_weight_of_an_arc():
    point = torch.zeros(1, 2, 2, 3)
    point[0, 0, 1] = torch.tensor([0.9, 0.3, -0.6])
    mask = torch.ones(1, 2, dtype=torch.bool)
    released = SemanticGraph().project_released(point, mask)[0, 0, 1]
    nearest = SemanticGraph().project_local(point, mask)[0, 0, 1]
    torch.testing.assert_close(released, torch.tensor([0.6, 0, 0]))
    torch.testing.assert_close(nearest, torch.tensor([0.8, 0.2, 0]))
