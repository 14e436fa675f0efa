"""The figures of a gradient, against what follows from the tensors themselves."""

import pytest
import torch

from spigot_allennlp.structures import KSubset, SingleHead
from spigot_allennlp.surrogates import Imle, PerturbAndMap, Pipeline, Spigot, StraightThrough, StructuredAttention
from spigot_allennlp.training.gradient_watch import GradientWatch
from tests.surrogates.inputs import MASK, norms, parts, random

PARTS = parts("single_head")
# The second of four sentences has ROOT alone: no part, and no figure.
THERE = [0, 2, 3]


def pass_through(layer: torch.nn.Module, d_z: torch.Tensor, factor: float = 1.0) -> torch.Tensor:
    """What comes back to the scores of a loss that a scaler multiplies by a factor."""
    scores = random("single_head").requires_grad_()
    loss = (layer(scores, MASK) * d_z).sum()
    layer.see_gradient_of(loss)
    (factor * loss).backward()
    return scores.grad / factor


@pytest.mark.parametrize("factor", [1.0, 1024.0])
@pytest.mark.parametrize("step_size", [0.01, 5.0])
def test_figures_of_spigot(factor: float, step_size: float) -> None:
    layer, d_z = Spigot(SingleHead(), step_size, max_gradient_norm=2.0), random("single_head", 1)
    with GradientWatch(layer) as watch:
        d_scores = pass_through(layer, d_z, factor)[THERE]
    found, length = watch.figures(), norms(d_z * PARTS)[THERE].flatten()
    assert found["gradient_norm"] == pytest.approx(float(length.mean()))
    assert found["gradient_norm_clipped"] == pytest.approx(float(length.clamp(max=2).mean()))
    assert found["sentences_clipped"] == pytest.approx(float((length > 2).double().mean())) and (length > 2).any()
    assert found["score_gradient_norm"] == pytest.approx(float(norms(d_scores).mean()))
    there, scores = PARTS[THERE].bool(), random("single_head")[THERE]
    ranges = [float(one[part].max() - one[part].min()) for one, part in zip(scores, there, strict=True)]
    assert found["score_range"] == pytest.approx(sum(ranges) / len(ranges))
    num_tokens = int(MASK[:, 1:].sum())
    z = SingleHead().argmax(random("single_head"), MASK)[THERE]
    differs = ((z - d_scores).round() != z).any(2).sum() / num_tokens
    assert found["target_differs"] == pytest.approx(float(differs))
    assert (found["target_differs"] > 0) == (step_size > 1)
    assert found["target_distance"] == pytest.approx(float(d_scores.abs().sum()) / 2 / num_tokens)


def test_averages_are_over_the_sentences_of_the_batches_that_are_looked_at() -> None:
    layer = StraightThrough(SingleHead())
    with GradientWatch(layer, every=2) as watch:
        for factor in (1.0, 50.0, 3.0):  # of these the first and the third
            pass_through(layer, factor * random("single_head", 1))
    expected = 2 * float(norms(random("single_head", 1) * PARTS)[THERE].mean())
    assert watch.figures(reset=True)["gradient_norm"] == pytest.approx(expected)
    assert watch.figures() == {} and watch.batches == 3


@pytest.mark.parametrize(
    "layer, has_target",
    [
        (StraightThrough(SingleHead()), False),
        (StructuredAttention(SingleHead()), False),
        (Imle(SingleHead()), True),
        (PerturbAndMap(Spigot(SingleHead())), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_targets_are_of_rules_that_have_one(layer: torch.nn.Module, has_target: bool) -> None:
    with GradientWatch(layer) as watch:
        pass_through(layer, 50 * random("single_head", 1))  # more than any noise
    assert ("target_differs" in watch.figures()) == has_target
    assert watch.figures()["score_gradient_norm"] > 0


def test_there_is_nothing_to_see_of_evaluation_and_of_what_passes_nothing() -> None:
    for layer in (Pipeline(SingleHead()), Spigot(SingleHead()).eval()):
        with GradientWatch(layer) as watch:
            layer(random("single_head").requires_grad_(), MASK)
        assert watch.figures() == {}
        assert layer.observer is None


def test_a_structure_of_single_positions() -> None:
    layer, scores = Spigot(KSubset(2)), random("k_subset").requires_grad_()
    with GradientWatch(layer) as watch:
        (layer(scores, MASK) * random("k_subset", 1)).sum().backward()
    assert 0 < watch.figures()["target_distance"] < 1


def test_what_a_checkpoint_has_goes_on() -> None:
    layer = Spigot(SingleHead())
    with GradientWatch(layer, every=2) as watch:
        pass_through(layer, random("single_head", 1))
    resumed = GradientWatch(layer, every=2)
    resumed.load_state_dict(watch.state_dict())
    assert resumed.figures() == watch.figures() and resumed.batches == 1


def test_a_checkpoint_with_fewer_figures_begins_them_anew() -> None:
    watch = GradientWatch(Spigot(SingleHead()))
    watch.load_state_dict({"batches": 3, "sums": torch.ones(8, dtype=torch.double)})
    assert watch.figures() == {} and watch.batches == 3


def test_the_range_of_scores_is_that_of_parts_that_are_allowed_in_whatever_precision() -> None:
    layer, mask = Spigot(SingleHead()), torch.ones(1, 3, dtype=torch.bool)
    scores = torch.full((1, 3, 3), -torch.inf, dtype=torch.half)
    scores[0, 1, 0], scores[0, 1, 2], scores[0, 2, 1] = 40000.0, 0.0, -40000.0
    scores.requires_grad_()
    with GradientWatch(layer) as watch:
        for factor in (1, 3):
            (layer(scores / factor, mask) * torch.tensor([1.0, -1.0, 0.5])).sum().backward()
    assert watch.figures()["score_range"] == pytest.approx((80000 + 80000 / 3) / 2, rel=1e-3)
