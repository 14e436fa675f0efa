import numpy as np
import pytest

from spigot_allennlp.nn import column_generation
from spigot_allennlp.nn.column_generation import best_under
from spigot_allennlp.nn.linear_rules import LinearRules
from spigot_allennlp.structures import ProjectiveTree
from spigot_allennlp.structures.structure import Structure
from tests import oracles


def random_rules(generator: np.random.Generator, num_cells: int) -> LinearRules:
    rules = LinearRules()
    for _ in range(generator.integers(1, 6)):
        cells = generator.permutation(num_cells)[: generator.integers(1, 9)]
        minus = generator.permutation(num_cells)[: generator.integers(0, 3)]
        bound = int(generator.integers(0, 3))
        rules.add(cells, lower=bound if generator.random() < 0.4 else -np.inf, upper=bound, minus=minus)
    return rules


@pytest.mark.parametrize("integer", [False, True])
def test_as_good_as_the_best_of_all_that_obey(integer: bool) -> None:
    """Also where scores tie, and where nothing obeys."""
    generator = np.random.default_rng(0)
    structures = oracles.projective_trees(5).double().numpy().reshape(-1, 25)
    num_infeasible = 0
    for _ in range(150):
        scores = generator.normal(size=25) * 10 ** generator.uniform(-4, 4)
        scores = scores.round() if integer else scores
        scores[generator.random(25) < 0.1] = -np.inf

        def argmax(values: np.ndarray) -> np.ndarray | None:
            totals = np.where(structures > 0, values, 0.0).sum(1)
            return structures[totals.argmax()] if totals.max() > -np.inf else None

        rules = random_rules(generator, 25)
        matrix, upper = rules.as_upper_bounds(25)
        obey = (structures @ matrix.T <= upper).all(1)
        assert obey.tolist() == [rules.are_obeyed_by(z) for z in structures]
        totals = np.where(structures > 0, scores, 0.0).sum(1).clip(min=-np.inf)[obey]
        found = best_under(rules, scores, argmax)
        if totals.max(initial=-np.inf) == -np.inf:
            assert found is None
            num_infeasible += 1
        else:
            assert rules.are_obeyed_by(found) and (structures == found).all(1).any()
            np.testing.assert_allclose(scores[found > 0].sum(), totals.max(), rtol=1e-7)
    assert 10 < num_infeasible < 140


def few_modifiers(parts: np.ndarray) -> LinearRules:
    """At most two for every head."""
    rules = LinearRules()
    for head in range(len(parts)):
        rules.add(len(parts) * parts[:, head].nonzero()[0] + head, upper=2)
    return rules


def all_arcs(length: int) -> np.ndarray:
    parts = ~np.eye(length, dtype=bool)
    parts[0] = False
    return parts


@pytest.mark.parametrize(
    "length, single_root, seed", [*((10, root, seed) for root in (False, True) for seed in (0, 1, 2)), (15, True, 1)]
)
def test_as_good_as_one_integer_program(length: int, single_root: bool, seed: int) -> None:
    """Few modifiers for every head, some arcs not, in sentences for which not all trees can be listed."""
    structure, parts = ProjectiveTree(single_root), all_arcs(length)
    scores = np.where(parts, np.random.default_rng(seed).normal(size=(length, length)), -np.inf)
    answers = []
    for solve in structure.best_under, lambda *arguments: Structure.best_under(structure, *arguments):
        rules = few_modifiers(parts)
        rules.add([3 * length + 1, 4 * length + 2, 5 * length + 3, 6 * length + 4], upper=0)
        z = solve(rules, scores, parts)
        assert z.sum(0).max() <= 2 and oracles.is_projective((0, *z[1:].argmax(1).tolist()))
        answers.append(scores[z > 0].sum())
    np.testing.assert_allclose(*answers, rtol=1e-7)


def test_what_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_generation, "MAX_PROGRAMS", 3)
    parts = all_arcs(12)
    scores = np.where(parts, np.random.default_rng(0).normal(size=(12, 12)), -np.inf)
    with pytest.raises(RuntimeError, match="needs more than 3 linear programs"):
        ProjectiveTree(True).best_under(few_modifiers(parts), scores, parts)
