"""What the base class says and does."""

import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import KSubset, NonprojectiveTree, Structure, registered_name


class Best(Structure):
    """One position, of sentences without padding: the least that a structure can be."""

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(scores.argmax(1), scores.size(1)).to(scores.dtype)


class Softmax(Structure):
    """Nothing but its sum."""

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return scores.logsumexp(1)


SCORES = torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.double)
MASK = torch.ones(5, 4, dtype=torch.bool)


def test_projections_follow_from_an_argmax() -> None:
    best = Best()
    assert best.operations() == {"argmax", "project", "project_local", "top_k"}
    expected = KSubset(1).project(SCORES, MASK)
    for project in (best.project, best.project_local, *best.polytopes().values()):
        torch.testing.assert_close(project(SCORES, MASK), expected, rtol=0, atol=1e-6)
    assert best.parts(SCORES, MASK).all() and best.cells == "parts"


def test_marginals_follow_from_a_sum() -> None:
    softmax = Softmax()
    distribution = {"log_prob", "entropy", "cross_entropy", "kl"}
    assert softmax.operations() == {"log_partition", "marginals", *distribution}
    torch.testing.assert_close(softmax.marginals(SCORES, MASK), SCORES.softmax(1))
    scores = SCORES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: softmax.marginals(s, MASK), scores)
    with torch.no_grad():
        assert not softmax.marginals(scores, MASK).requires_grad


def test_a_structure_that_can_do_nothing() -> None:
    nothing = Structure()
    assert nothing.operations() == frozenset()
    for operation in ("argmax", "log_partition", "marginals", "project", "project_local"):
        with pytest.raises(NotImplementedError):
            getattr(nothing, operation)(SCORES, MASK)


def test_what_is_needed_and_missing_is_said_by_name() -> None:
    Best().require("argmax", "project", by="a test")
    with pytest.raises(ConfigurationError, match=r"^a test needs marginals, and Best has none$"):
        Best().require("argmax", "marginals", by="a test")


def test_names() -> None:
    assert registered_name(NonprojectiveTree(), Structure) == "nonprojective_tree"
    assert registered_name(Best(), Structure) == "Best"
