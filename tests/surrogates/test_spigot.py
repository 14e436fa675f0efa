"""What is special to SPIGOT and its kin: the step inside a polytope, and marginals that may go forward."""

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import NonprojectiveTree, SemanticGraph
from spigot_allennlp.surrogates import Spigot, SpigotCe, SpigotEg, StraightThrough, StructuredArgmax
from tests.structures.table import ROWS, Row
from tests.surrogates.table import Surrogate, masks, pairs, pull

every_structure_of_heads = pytest.mark.parametrize("row", [row for row in ROWS if row.cells == "heads"], ids=str)


@every_structure_of_heads
def test_spigot_is_straight_through_while_the_step_stays_inside(row: Row) -> None:
    """From a vertex, a step that takes weight from the chosen head and gives it to the others stays in the simplex."""
    structure, scores, mask = row.build(), row.random(0, 3, 6), masks(row)
    z = structure.argmax(scores, mask)
    others = (structure.parts(scores, mask) & (z == 0)).double()
    # Shape: (batch, length, 1)
    number = others.sum(2, keepdim=True)
    d_z = z * (number > 0) - others / number.clamp(min=1)
    _, through = pull(StraightThrough(structure, step_size=0.2), scores, d_z, mask)
    _, spigot = pull(Spigot(structure, step_size=0.2, max_gradient_norm=None), scores, d_z, mask)
    torch.testing.assert_close(spigot, through)
    assert spigot.any()


@pairs(
    lambda surrogate, row: row.cells == "heads" and surrogate.type not in ("pipeline", "straight_through", "identity")
)
def test_what_one_head_gains_the_others_lose(surrogate: Surrogate, row: Row) -> None:
    """Any two mixtures of structures give each token the same weight of heads in all, forbidden arcs or not."""
    scores, mask = row.random(0, 3, 6), masks(row)
    scores[0, 1, 2] = scores[0, 4, 3] = scores[2, 1, 3] = -torch.inf
    _, d_scores = pull(surrogate.build(row.build()), scores, row.random(1, 3, 6), mask)
    assert surrogate.type == "imle" or d_scores.any()
    torch.testing.assert_close(d_scores.sum(2), torch.zeros(3, 6, dtype=torch.double), rtol=0, atol=1e-6)


@pytest.mark.parametrize("surrogate", [SpigotCe, SpigotEg])
def test_marginals_may_go_forward(surrogate: type[SpigotCe]) -> None:
    structure, scores, mask = NonprojectiveTree(), torch.randn(2, 5, 5), torch.ones(2, 5, dtype=torch.bool)
    marginals, argmax = structure.marginals(scores, mask), structure.argmax(scores, mask)
    relaxed = surrogate(structure, relaxed=True)
    for layer in (relaxed.train(), relaxed.eval()):
        assert torch.equal(layer(scores, mask), marginals) and layer.passes_mixture
    hard_at_test = surrogate(structure, relaxed=True, hard_at_test=True)
    assert torch.equal(hard_at_test(scores, mask), marginals) and hard_at_test.passes_mixture
    assert torch.equal(hard_at_test.eval()(scores, mask), argmax) and not hard_at_test.passes_mixture
    # The gradient does not depend on what goes forward.
    d_z = torch.randn(2, 5, 5)
    expected = pull(surrogate(structure), scores, d_z, mask)[1]
    for layer in (relaxed, hard_at_test, hard_at_test.train()):
        assert torch.equal(pull(layer, scores, d_z, mask)[1], expected)


def test_the_polytope_makes_a_difference() -> None:
    scores, d_z = torch.randn(1, 5, 5, 3), torch.randn(1, 5, 5, 3)
    mask = torch.ones(1, 5, dtype=torch.bool)
    structure = SemanticGraph(deterministic_labels=[0, 1])
    gradients = [
        pull(Spigot(structure, polytope=polytope, max_gradient_norm=None), scores, d_z, mask)[1]
        for polytope in ("local", "exact", "arcs_then_labels")
    ]
    for one, other in zip(gradients, gradients[1:] + gradients[:1], strict=True):
        assert not torch.allclose(one, other)


@pytest.mark.parametrize("type_name", ["spigot", "spigot_ce"])
@pytest.mark.parametrize(
    "structure, names",
    [("nonprojective_tree", "local, exact"), ("semantic_graph", "local, exact, arcs_then_labels")],
)
def test_polytopes_that_there_are_not_are_refused(type_name: str, structure: str, names: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^polytope must be one of {names}, but is 'released'$"):
        StructuredArgmax.from_params(Params({"type": type_name, "structure": structure, "polytope": "released"}))


def test_arcs_then_labels_are_of_graphs_alone() -> None:
    with pytest.raises(ConfigurationError, match=r"^polytope must be one of local, exact, but is 'arcs_then_labels'$"):
        Spigot(NonprojectiveTree(), polytope="arcs_then_labels")
