"""What both kinds of trees have in common."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.nn.kernels.inside_outside import sum_over_projective_trees
from spigot_allennlp.nn.kernels.matrix_tree import sum_over_arborescences
from spigot_allennlp.nn.partition import sum_by_autograd, sum_on_host
from spigot_allennlp.structures import NonprojectiveTree, ProjectiveTree, Structure, nonprojective_tree, projective_tree
from tests import oracles
from tests.gpu import needs_gpu
from tests.structures.sentences import either_root, full_mask, random_scores

either_kind = pytest.mark.parametrize(
    "kind, enumerate_trees",
    [(NonprojectiveTree, oracles.nonprojective_trees), (ProjectiveTree, oracles.projective_trees)],
)


@either_kind
@either_root
@settings(max_examples=200, deadline=None)
@given(cells=st.lists(st.sampled_from([-1e4, -1.0, 0.0, 1.0, 1e4]), min_size=25, max_size=25))
def test_argmax_of_extreme_scores(
    kind: type[Structure], enumerate_trees: Callable, single_root: bool, cells: list[float]
) -> None:
    scores = torch.tensor(cells).view(1, 5, 5)
    z = kind(single_root).argmax(scores, full_mask(scores))
    assert (z * scores).double().sum() == oracles.best_scores(enumerate_trees(5, single_root), scores)


@pytest.mark.parametrize(
    "kernel, in_log_space, scale",
    [
        (sum_over_arborescences, nonprojective_tree._sum_in_log_space, 1.0),
        (sum_over_arborescences, nonprojective_tree._sum_in_log_space, 10.0),
        (sum_over_projective_trees, projective_tree._sum_in_log_space, 1.0),
        (sum_over_projective_trees, projective_tree._sum_in_log_space, 100.0),
        (sum_over_projective_trees, projective_tree._sum_in_log_space, 1e4),
    ],
)
@either_root
def test_both_ways_to_sum_agree(kernel: Callable, in_log_space: Callable, scale: float, single_root: bool) -> None:
    scores = random_scores(5, 12) * scale
    scores[4, 3, 5:] = float("-inf")
    mask = torch.arange(12) < torch.tensor([[12], [7], [2], [1], [12]])
    direction = random_scores(5, 12, seed=1)
    compiled = sum_on_host(kernel, scores, mask, single_root, direction=None)
    by_torch = in_log_space(scores, mask, single_root)
    for one, other in zip(compiled, by_torch, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-10)
    _, compiled = sum_on_host(kernel, scores, mask, single_root, direction=direction)
    _, by_torch = sum_by_autograd(in_log_space, scores, mask, single_root, direction=direction)
    torch.testing.assert_close(compiled, by_torch, rtol=1e-9, atol=1e-8)


@needs_gpu
@either_kind
@either_root
def test_on_a_gpu(kind: type[Structure], enumerate_trees: Callable, single_root: bool) -> None:
    scores = random_scores(3, 8)
    mask = torch.arange(8) < torch.tensor([[8], [5], [1]])
    structure = kind(single_root)
    for function in structure.argmax, structure.log_partition, structure.marginals:
        result = function(scores.cuda(), mask.cuda())
        assert result.is_cuda
        torch.testing.assert_close(result.cpu(), function(scores, mask), rtol=1e-11, atol=1e-12)
