import pytest
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


@pytest.mark.parametrize(
    "labels", [torch.tensor([True]), torch.tensor([1, 0, 1]), torch.tensor([[True] * 3])], ids=["1", "int", "2-d"]
)
def test_deterministic_labels_of_another_form_are_refused(labels):
    scores, mask = torch.zeros(1, 3, 3, 3), torch.ones(1, 3, dtype=torch.bool)
    for method in ("argmax", "project"):
        with pytest.raises(ValueError, match=r"deterministic_labels should be bool, \(3,\)"):
            getattr(SemanticGraph(), method)(scores, mask, deterministic_labels=labels)


def test_the_released_projection_with_a_forbidden_label():
    point = torch.zeros(1, 2, 2, 3)
    point[0, 0, 1] = torch.tensor([0.6, -torch.inf, 0.1])
    mask = torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(SemanticGraph().project_released(point, mask)[0, 0, 1], torch.tensor([0.6, 0, 0.1]))
    point[0, 0, 1, 2] = torch.nan
    assert SemanticGraph().project_released(point, mask)[0, 0, 1].isnan().any()


def test_a_sentence_without_root_is_refused():
    with pytest.raises(ValueError, match="no position 0"):
        SemanticGraph().argmax(torch.zeros(2, 0, 0, 3), torch.zeros(2, 0, dtype=torch.bool))
