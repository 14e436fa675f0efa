"""What every structure promises, as a class of tests that a structure's own test class inherits."""

from typing import Any

import pytest
import torch
from allennlp.common import Params
from hypothesis import given, settings
from hypothesis import strategies as st

from spigot_allennlp.structures import Structure
from tests.oracles_sequences import expectation, nearest_in_hull, totals

SCALES = [1e-5, 1, 1e4]


class StructureContract:
    #: how the structure is configured
    config: dict[str, Any]
    #: the axes of one sentence's scores that are not positions, last
    inner_shape: tuple[int, ...] = ()
    #: how many axes are positions
    num_position_axes = 1
    #: whether position 0 is ROOT, which is never masked
    has_root = False
    #: further inputs of every method
    context: dict[str, torch.Tensor] = {}  # noqa: RUF012
    methods = ("argmax", "log_partition", "marginals", "project", "project_local")
    length = 4

    def structures(self, length: int) -> torch.Tensor:
        """All structures of a sentence without padding, float64."""
        raise NotImplementedError

    def call(self, method: str, scores: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        mask = torch.ones(scores.shape[:2], dtype=torch.bool) if mask is None else mask
        structure = Structure.from_params(Params(dict(self.config)))
        return getattr(structure, method)(scores, mask, **self.context)

    def random(self, seed: int, batch_size: int, length: int | None = None) -> torch.Tensor:
        shape = (batch_size, *[length or self.length] * self.num_position_axes, *self.inner_shape)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)

    def crop(self, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The cells, `(length, ...)`, of those positions that one sentence's mask leaves."""
        for axis in range(self.num_position_axes):
            values = values.index_select(axis, mask.nonzero().squeeze(1))
        return values

    def require(self, method: str) -> None:
        if method not in self.methods:
            pytest.skip(f"{method} is not defined here")

    @pytest.mark.parametrize("scale", SCALES)
    def test_argmax_is_the_best_of_all(self, scale):
        scores = scale * self.random(0, 40)
        structures = self.structures(self.length)
        for z, s in zip(self.call("argmax", scores), scores, strict=True):
            assert torch.equal(z, structures[totals(structures, s).argmax()])  # distinct scores: there is one best

    def test_argmax_of_scores_with_ties_is_one_of_the_best(self):
        scores = self.random(0, 80).round()
        structures = self.structures(self.length)
        for z, s in zip(self.call("argmax", scores), scores, strict=True):
            assert (structures == z).flatten(1).all(1).any()
            assert (z * s).sum() == totals(structures, s).max()

    @pytest.mark.parametrize("scale", [1e-5, 1, 30])
    def test_log_partition_and_marginals_are_sums_over_all(self, scale):
        self.require("marginals")
        scores = (scale * self.random(1, 10)).requires_grad_()
        structures = self.structures(self.length)
        log_z = self.call("log_partition", scores)
        marginals = self.call("marginals", scores)
        for i, s in enumerate(scores.detach()):
            torch.testing.assert_close(log_z[i], totals(structures, s).logsumexp(0))
            expected = expectation(structures, totals(structures, s))
            torch.testing.assert_close(marginals[i], expected, rtol=1e-6, atol=1e-9)
        (gradient,) = torch.autograd.grad(log_z.sum(), scores)
        torch.testing.assert_close(gradient, marginals)

    @pytest.mark.parametrize("method", ["log_partition", "marginals"])
    def test_differentiable(self, method):
        self.require(method)
        scores = self.random(2, 2).requires_grad_()
        mask = torch.ones(2, self.length, dtype=torch.bool)
        mask[1, -1] = False
        assert torch.autograd.gradcheck(lambda s: self.call(method, s, mask), scores)

    @pytest.mark.parametrize("scale", [0.1, 1, 10])
    def test_projection_is_the_nearest_point_of_the_hull(self, scale):
        points = scale * self.random(3, 12)
        structures = self.structures(self.length)
        for x, y in zip(self.call("project", points), points, strict=True):
            torch.testing.assert_close(x, nearest_in_hull(structures, y), rtol=0, atol=1e-6)

    def test_projections_leave_structures_and_their_mixtures_alone(self):
        structures = self.structures(self.length)[:20]
        for method in ("project", "project_local"):
            torch.testing.assert_close(self.call(method, structures), structures, rtol=0, atol=1e-6)
        mixture = expectation(structures, self.random(9, 1, 20).flatten()[: len(structures)])
        for method in ("project", "project_local"):
            torch.testing.assert_close(self.call(method, mixture[None])[0], mixture, rtol=0, atol=1e-6)

    def test_the_relaxation_is_at_least_as_near_as_the_hull(self):
        points = self.random(4, 20)
        near = (self.call("project_local", points) - points).flatten(1).norm(dim=1)
        assert (near <= (self.call("project", points) - points).flatten(1).norm(dim=1) + 1e-9).all()

    @pytest.mark.parametrize("method", ["project", "project_local"])
    def test_projections_differentiate(self, method):
        points = self.random(10, 8).requires_grad_()
        direction, weights, step = self.random(11, 8), self.random(12, 8), 1e-5
        there, back = (self.call(method, points.detach() + sign * step * direction) for sign in (1, -1))
        (gradient,) = torch.autograd.grad((self.call(method, points) * weights).sum(), points)
        slopes = ((there - back) / (2 * step) * weights).flatten(1).sum(1)
        torch.testing.assert_close((gradient * direction).flatten(1).sum(1), slopes, rtol=1e-4, atol=1e-4)

    def test_parts_are_the_cells_that_structures_use(self):
        parts = self.call("parts", self.random(0, 1))[0]
        assert torch.equal(parts, self.structures(self.length).amax(0) > 0)

    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals", "project", "project_local"])
    @given(data=st.data(), seed=st.integers(0, 10**6))
    @settings(max_examples=20, deadline=None)
    def test_only_the_cells_of_tokens_play_a_part(self, method, data, seed):
        self.require(method)
        length = data.draw(st.integers(1, 6))
        bits = st.lists(st.booleans(), min_size=length, max_size=length)
        mask = torch.tensor(data.draw(st.lists(bits, min_size=1, max_size=4)))
        if self.has_root:
            mask[:, 0] = True
        scores = self.random(seed, len(mask), length)
        noise = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e9])[torch.randint(0, 4, scores.shape)].double()
        parts = self.call("parts", scores, mask)
        result = self.call(method, scores.where(parts, noise), mask)
        for i, sentence in enumerate(mask):
            alone = self.call(method, self.crop(scores[i], sentence)[None])[0]
            if method == "log_partition":
                torch.testing.assert_close(result[i], alone)
            else:
                torch.testing.assert_close(self.crop(result[i], sentence), alone, rtol=0, atol=1e-6)
        assert method == "log_partition" or not result[~parts].any()

    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals", "project", "project_local"])
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
    def test_dtype_is_kept_and_inputs_are_untouched(self, method, dtype):
        self.require(method)
        scores = self.random(5, 6).to(dtype)
        before = scores.clone()
        result = self.call(method, scores)
        assert result.dtype == dtype
        assert torch.equal(scores, before) and not scores.requires_grad
        torch.testing.assert_close(result.double(), self.call(method, scores.double()), rtol=0.01, atol=0.01)

    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals", "project", "project_local"])
    def test_memory_layout_and_empty_batches(self, method):
        self.require(method)
        scores = self.random(6, 5)
        scattered = scores.movedim(0, -1).contiguous().movedim(-1, 0)
        assert not scattered.is_contiguous()
        torch.testing.assert_close(self.call(method, scattered), self.call(method, scores))
        assert self.call(method, scores[:0]).shape == self.call(method, scores)[:0].shape

    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals", "project", "project_local"])
    @pytest.mark.parametrize("length", [1, 3])
    def test_a_sentence_without_tokens_gives_zeros(self, method, length):
        self.require(method)
        mask = torch.zeros(2, length, dtype=torch.bool)
        mask[:, 0] = self.has_root
        assert not self.call(method, self.random(0, 2, length), mask).any()

    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals", "project"])
    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_a_score_that_is_none_names_the_sentence(self, method, value):
        self.require(method)
        scores = self.random(7, 6)
        for part in self.call("parts", scores)[4].nonzero()[:3].tolist():
            broken = scores.clone()
            broken[(4, *part)] = value
            with pytest.raises(ValueError, match="sentence 4"):
                self.call(method, broken)

    @pytest.mark.parametrize("scale", [1, 100, 1e4])
    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals"])
    def test_forbidden_parts(self, method, scale):
        self.require(method)
        scores = self.random(8, 40) * scale
        rates = torch.linspace(0, 0.9, 40).view(-1, *[1] * (scores.dim() - 1))
        scores[torch.rand(scores.shape, generator=torch.Generator().manual_seed(8)) < rates] = -torch.inf
        structures = self.structures(self.length)
        possible = torch.tensor([bool(totals(structures, s).max() > -torch.inf) for s in scores])
        assert possible.any()
        if not possible.all():
            with pytest.raises(ValueError, match=f"sentence {int((~possible).nonzero()[0])} has no legal structure"):
                self.call(method, scores)
        scores = scores[possible]
        for r, s in zip(self.call(method, scores), scores, strict=True):
            worth = totals(structures, s)
            expected = {
                "argmax": structures[worth.argmax()],
                "log_partition": worth.logsumexp(0),
                "marginals": expectation(structures, worth),
            }[method]
            torch.testing.assert_close(r, expected, rtol=1e-6, atol=1e-9)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize("method", ["argmax", "log_partition", "marginals", "project", "project_local"])
    def test_tensors_on_a_gpu(self, method):
        self.require(method)
        scores = self.random(9, 6)
        mask = torch.ones(6, self.length, dtype=torch.bool)
        structure = Structure.from_params(Params(dict(self.config)))
        context = {name: value.cuda() for name, value in self.context.items()}
        result = getattr(structure, method)(scores.cuda(), mask.cuda(), **context)
        assert result.is_cuda
        torch.testing.assert_close(result.cpu(), self.call(method, scores))
