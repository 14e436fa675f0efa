import pytest
import torch

from spigot_allennlp.nn.semantic_graph import (
    graph_argmax,
    graph_labels,
    graph_log_partition,
    graph_marginals,
    possible_arcs,
    project_arcs_then_labels,
    project_onto_graphs,
    project_onto_label_simplices,
)
from tests.oracles import (
    best_assignment,
    duality_gap,
    expectation,
    graphs,
    graphs_with_predicates,
    nearest_in_hull,
    totals,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def full_mask(scores: torch.Tensor) -> torch.Tensor:
    return torch.ones(scores.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("deterministic", [None, [True, False], [True, True]])
@pytest.mark.parametrize("decimals", [0, 15])
def test_argmax_with_predicates_is_the_best_of_all(deterministic, decimals):
    scores = (0.5 + random(60, 3, 3, 2)).round(decimals=decimals)
    predicate_scores = (2 * random(60, 3, seed=1) - 1).round(decimals=decimals)
    all_graphs = graphs(3, 2, deterministic)
    with_predicates, on = graphs_with_predicates(all_graphs)
    labels = None if deterministic is None else torch.tensor(deterministic)
    switched_off = 0
    for z, s, p in zip(
        graph_argmax(scores, full_mask(scores), predicate_scores, labels), scores, predicate_scores, strict=True
    ):
        assert (all_graphs == z).flatten(1).all(1).any()
        has_arcs = z.sum((1, 2)) > 0
        worth = (z * s).sum() + p.where(has_arcs, p.clamp(min=0)).sum()
        torch.testing.assert_close(worth, (totals(with_predicates, s) + on @ p).max())
        switched_off += (~has_arcs & (s.amax(2) > 0).any(1)).sum()
    assert switched_off > 0


def test_sums_over_graphs_with_predicates():
    scores, predicate_scores = random(10, 3, 3, 2).requires_grad_(), random(10, 3, seed=1).requires_grad_()
    structures, on = graphs_with_predicates(graphs(3, 2))
    log_z = graph_log_partition(scores, full_mask(scores), predicate_scores)
    marginals = graph_marginals(scores, full_mask(scores), predicate_scores)
    for i in range(10):
        log_weights = totals(structures, scores[i].detach()) + on @ predicate_scores[i].detach()
        torch.testing.assert_close(log_z[i], log_weights.logsumexp(0))
        torch.testing.assert_close(marginals[i], expectation(structures, log_weights))
    gradient, predicate_gradient = torch.autograd.grad(log_z.sum(), (scores, predicate_scores))
    torch.testing.assert_close(gradient, marginals)
    expected = expectation(on, log_weights)
    torch.testing.assert_close(predicate_gradient[-1], expected)


def test_sums_with_predicates_differentiate():
    scores, predicate_scores = random(2, 3, 3, 2).requires_grad_(), random(2, 3, seed=1).requires_grad_()
    mask = torch.tensor([[True, True, True], [True, False, True]])
    for function in (graph_log_partition, graph_marginals):
        assert torch.autograd.gradcheck(lambda s, p, f=function: f(s, mask, p), (scores, predicate_scores))


@pytest.mark.parametrize("function", [graph_argmax, graph_log_partition, graph_marginals])
def test_predicate_scores_of_padding_and_forbidden_predicates(function):
    scores, predicate_scores = 1 + random(2, 4, 4, 3), random(2, 4, seed=1)
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    expected = function(scores, mask, predicate_scores)
    torch.testing.assert_close(function(scores, mask, predicate_scores.where(mask, torch.nan)), expected)
    predicate_scores[0, 1] = -torch.inf
    scores = scores.requires_grad_()
    result = function(scores, mask, predicate_scores)
    if function is graph_log_partition:
        (result,) = torch.autograd.grad(result.sum(), scores)
    assert not result[0, 1].any() and result[0, 0].any()
    for value in (torch.nan, torch.inf):
        predicate_scores[1, 1] = value
        with pytest.raises(ValueError, match="sentence 1"):
            function(scores, mask, predicate_scores)


def test_labels_are_the_argmax_without_its_last_axis():
    scores, deterministic = random(5, 6, 6, 4), torch.tensor([True, True, False, False])
    z = graph_argmax(scores, full_mask(scores), random(5, 6), deterministic)
    labels = graph_labels(scores, full_mask(scores), random(5, 6), deterministic)
    assert torch.equal(labels >= 0, z.any(3))
    assert torch.equal(labels[labels >= 0], z.argmax(3)[labels >= 0])


def test_arcs_worth_nothing_are_off():
    assert not graph_argmax(torch.zeros(1, 4, 4, 2), torch.ones(1, 4, dtype=torch.bool)).any()


@pytest.mark.parametrize("shift", [-2, 0, 2])
def test_deterministic_labels_of_long_sentences(shift):
    """Many predicates at once, all of them free to choose from the same labels."""
    scores = shift + random(3, 20, 20, 12)
    scores[..., 4] += 2
    deterministic = torch.arange(12) % 3 > 0
    z = graph_argmax(scores, full_mask(scores), None, deterministic)
    assert z.sum(3).max() == 1 and z.sum(2)[..., deterministic].max() == 1
    assert (graph_argmax(scores, full_mask(scores)).sum(2)[..., deterministic] > 1).any()  # the rule changes something
    for b in range(3):
        for p in range(20):
            allowed = scores[b, p, [a for a in range(1, 20) if a != p]]
            assert (z[b, p] * scores[b, p]).sum().item() == pytest.approx(best_assignment(allowed, deterministic))


@pytest.mark.parametrize("scale", [0.01, 0.3, 1, 3, 10, 100])
@pytest.mark.parametrize("num_deterministic", [3, 8])
def test_projection_under_the_rule_by_its_duality_gap(scale, num_deterministic):
    deterministic = torch.arange(8) < num_deterministic
    points = 0.2 + scale * random(2, 13, 13, 8)
    projection = project_onto_graphs(points, full_mask(points), deterministic)
    assert (projection >= 0).all()
    assert (projection.sum(3) <= 1 + 1e-6).all() and (projection.sum(2)[..., deterministic] <= 1 + 1e-6).all()
    for b in range(2):
        for p in range(13):
            arguments = [a for a in range(1, 13) if a != p]
            x, y = projection[b, p, arguments], points[b, p, arguments]
            assert duality_gap(best_assignment(y - x, deterministic), y, x) < 1e-8 * max(1, scale)


def test_relaxation_as_released():
    """Per pair: clip the sum of the labels, then take the nearest weights with that sum."""
    points = random(8, 4, 4, 3)
    released = project_arcs_then_labels(points, full_mask(points))
    nearest = project_onto_label_simplices(points, full_mask(points))
    allowed = possible_arcs(full_mask(points))
    torch.testing.assert_close(released.sum(3), points.sum(3).clamp(0, 1).masked_fill(~allowed, 0))
    for x, y in zip(released[allowed], points[allowed], strict=True):
        corners = float(y.sum().clamp(0, 1)) * torch.eye(3, dtype=torch.double)
        torch.testing.assert_close(x, nearest_in_hull(corners, y), rtol=0, atol=1e-6)
    assert not torch.allclose(released, nearest)


def test_relaxations_differentiate():
    points = random(2, 3, 3, 2).requires_grad_()
    mask = torch.tensor([[True, True, True], [True, True, False]])
    for function in (project_onto_label_simplices, project_arcs_then_labels):
        assert torch.autograd.gradcheck(lambda y, f=function: f(y, mask), points)


@pytest.mark.parametrize("function", [graph_argmax, graph_log_partition, graph_marginals, project_onto_graphs])
def test_wrong_shapes_and_dtypes(function):
    mask = torch.ones(2, 3, dtype=torch.bool)
    for scores, bad_mask in [
        (torch.zeros(2, 3, 3), mask),
        (torch.zeros(2, 3, 4, 2), mask),
        (torch.zeros(2, 3, 3, 2), mask[:, :2]),
        (torch.zeros(2, 3, 3, 2), mask.float()),
    ]:
        with pytest.raises(ValueError, match="scores and mask should be"):
            function(scores, bad_mask)
    if function is not project_onto_graphs:
        with pytest.raises(ValueError, match="predicate_scores should be"):
            function(torch.zeros(2, 3, 3, 2), mask, torch.zeros(2, 1))
