"""What is special to semantic graphs: labels, tops, predicates, and how a parser fills in what a config leaves open."""

import pytest
import torch
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import SemanticGraph
from tests import oracles
from tests.structures.sentences import full_mask
from tests.structures.table import ROWS, Row

every_graph = pytest.mark.parametrize("row", [row for row in ROWS if row.config["type"] == "semantic_graph"], ids=str)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


@every_graph
def test_labels_are_the_argmax_without_its_last_axis(row: Row) -> None:
    scores = row.random(0, 20, 7)
    mask = full_mask(scores)
    mask[::2, -2:] = False
    z = row.call("argmax", scores, mask)
    labels = row.call("best_labels", scores, mask)
    assert torch.equal(labels, row.build().labels_of(z))
    assert torch.equal(labels[:, :, 1:] >= 0, z.any(3)[:, :, 1:]) and (labels[:, :, 0] == -1).all()
    assert torch.equal(labels[labels >= 0], z.argmax(3)[labels >= 0])


@every_graph
def test_parts_worth_nothing_are_off(row: Row) -> None:
    scores = torch.zeros_like(row.random(0, 1, 4))
    assert not row.call("argmax", scores).any() and (row.call("best_labels", scores) == -1).all()


@every_graph
def test_tops_alone_have_the_label_of_tops(row: Row) -> None:
    top_label = row.build().top_label
    if top_label is None:
        allowed = torch.ones(7, scores_labels(row), dtype=torch.bool)
    else:
        allowed = (torch.arange(scores_labels(row)) == top_label) == (torch.arange(7) == 0).unsqueeze(1)
    for operation in ("argmax", "marginals", "project", "project_local", "project_arcs_then_labels"):
        arcs = row.call(operation, row.random(1, 5, 7))[:, :, 1:]
        assert torch.equal(arcs.amax((0, 2)) > 0, allowed)


def scores_labels(row: Row) -> int:
    return row.axes[-1]


@every_graph
@pytest.mark.parametrize("operation", ["argmax", "marginals", "project", "project_local"])
def test_arcs_hang_from_predicates_that_are_on(row: Row, operation: str) -> None:
    scores = row.random(2, 10, 7)
    scores[0, 3, 0, 0] = -torch.inf
    z = row.call(operation, scores)
    own, arcs = z[:, :, 0, 0], z[:, :, 1:].sum(3).amax(2)
    assert (arcs > 1e-3).any()
    if row.build().predicates:
        assert (arcs <= own + 1e-6).all()
        assert own[0, 3] == 0 and not arcs[0, 3].any()
    else:
        assert not own.any() and arcs[0, 3] > 0
    assert not z[:, :, 0, 1:].any()


@pytest.mark.parametrize("shift", [-2, 0, 2])
@pytest.mark.parametrize("predicates", [False, True])
def test_deterministic_labels_of_long_sentences(shift, predicates):
    """Many predicates at once, all of them free to choose from the same labels."""
    scores = shift + random(3, 20, 20, 12)
    scores[..., 4] += 2
    deterministic = torch.arange(12) % 3 > 0
    z = SemanticGraph(predicates, None, deterministic.nonzero().flatten().tolist()).argmax(scores, full_mask(scores))
    arcs = z[:, :, 1:]
    assert arcs.sum(3).max() == 1 and arcs.sum(2)[..., deterministic].max() == 1
    free = SemanticGraph(predicates).argmax(scores, full_mask(scores))
    assert (free[:, :, 1:].sum(2)[..., deterministic] > 1).any()  # the rule changes something
    for b in range(3):
        for p in range(20):
            allowed = scores[b, p, [a for a in range(1, 20) if a != p]]
            best = oracles.best_assignment(allowed, deterministic)
            if predicates:
                best = max(0, best + float(scores[b, p, 0, 0]))
            assert (z[b, p] * scores[b, p]).sum().item() == pytest.approx(best)


def test_deterministic_labels_of_tops():
    """Labels that only tops have, or only other arguments, are no way round the rule."""
    scores = random(3, 9, 9, 4).abs()
    graph = SemanticGraph(False, 1, [1, 2]).argmax(scores, full_mask(scores))
    assert torch.equal(graph[:, 0].sum((1, 2)), torch.ones(3, dtype=torch.double))
    best_top = scores[:, 0, 1:, 1].argmax(1) + 1
    assert torch.equal(graph[:, 0, :, 1].argmax(1), best_top)
    words = [0, 2, 3]
    for b in range(3):
        for p in range(1, 9):
            allowed = scores[b, p, [a for a in range(1, 9) if a != p]][:, words]
            best = oracles.best_assignment(allowed, torch.tensor([False, True, False]))
            assert (graph[b, p] * scores[b, p]).sum().item() == pytest.approx(best)


@pytest.mark.parametrize("scale", [0.01, 0.3, 1, 3, 10, 100])
@pytest.mark.parametrize("num_deterministic", [3, 8])
def test_projection_under_the_rule_by_its_duality_gap(scale, num_deterministic):
    deterministic = torch.arange(8) < num_deterministic
    points = 0.2 + scale * random(2, 13, 13, 8)
    structure = SemanticGraph(deterministic_labels=list(range(num_deterministic)))
    projection = structure.project(points, full_mask(points))
    assert (projection >= 0).all()
    assert (projection.sum(3) <= 1 + 1e-6).all() and (projection.sum(2)[..., deterministic] <= 1 + 1e-6).all()
    for b in range(2):
        for p in range(13):
            arguments = [a for a in range(1, 13) if a != p]
            x, y = projection[b, p, arguments], points[b, p, arguments]
            gap = oracles.duality_gap(oracles.best_assignment(y - x, deterministic), y, x)
            assert gap < 1e-8 * max(1, scale)


def test_predicates_far_below_0_have_second_derivatives():
    scores = random(1, 3, 3, 2)
    scores[0, 1, 0, 0] = -1000
    scores.requires_grad_()
    log_z = SemanticGraph(predicates=True).log_partition(scores, full_mask(scores))
    (slope,) = torch.autograd.grad(log_z.sum(), scores, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum(), scores)
    assert second.isfinite().all() and second[0, 2].any() and not second[0, 1].any()


def test_arcs_then_labels_keep_the_clipped_weight_of_an_arc():
    point = torch.zeros(1, 2, 2, 3)
    point[0, 0, 1] = torch.tensor([0.9, 0.3, -0.6])
    in_two_steps = SemanticGraph().project_arcs_then_labels(point, full_mask(point))[0, 0, 1]
    nearest = SemanticGraph().project_local(point, full_mask(point))[0, 0, 1]
    torch.testing.assert_close(in_two_steps, torch.tensor([0.6, 0, 0]))
    torch.testing.assert_close(nearest, torch.tensor([0.8, 0.2, 0]))


def test_arcs_then_labels_clip_predicates():
    point = random(2, 4, 4, 3)
    mask = torch.tensor([[True] * 4, [True, True, False, True]])
    projection = SemanticGraph(predicates=True).project_arcs_then_labels(point, mask)
    expected = point[:, :, 0, 0].clamp(0, 1) * mask
    assert torch.equal(projection[:, :, 0, 0], expected) and not projection[:, :, 0, 1:].any()
    without = SemanticGraph().project_arcs_then_labels(point, mask)
    assert torch.equal(projection[:, :, 1:], without[:, :, 1:]) and not without[:, :, 0].any()


@pytest.mark.parametrize("operation", ["argmax", "best_labels", "project"])
def test_deterministic_labels_that_there_are_not_are_refused(operation):
    scores = torch.ones(1, 3, 3, 3)
    with pytest.raises(ValueError, match=r"^expected deterministic_labels below 3, found 5$"):
        getattr(SemanticGraph(deterministic_labels=[0, 5]), operation)(scores, full_mask(scores))


def test_binding_fills_in_what_was_not_given():
    structure = SemanticGraph(top_label=3)
    structure.bind(predicates=True, top_label=3, deterministic_labels=[1])
    assert (structure.predicates, structure.top_label, structure.deterministic_labels) == (True, 3, [1])
    structure.bind(deterministic_labels=[1])
    message = r"^expected deterministic_labels of the semantic_graph to be \[2\], found \[1\]$"
    with pytest.raises(ConfigurationError, match=message):
        structure.bind(deterministic_labels=[2])


def test_what_is_given_as_nothing_stays_nothing():
    structure = SemanticGraph(predicates=False, deterministic_labels=[])
    with pytest.raises(ConfigurationError, match="predicates"):
        structure.bind(predicates=True)
    with pytest.raises(ConfigurationError, match="deterministic_labels"):
        structure.bind(deterministic_labels=[0])
