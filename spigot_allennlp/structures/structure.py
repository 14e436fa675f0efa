from collections.abc import Callable

import numpy as np
import torch
from allennlp.common import Registrable
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.nn.active_set import ActiveSet, Argmax, hull_projection, project_onto_hull
from spigot_allennlp.nn.linear_rules import LinearRules
from spigot_allennlp.nn.shapes import AnyMask, Cells, Totals

# What each operation follows from, where a class does not write it itself.
_FOLLOWS_FROM: dict[str, tuple[str, ...] | None] = {
    "argmax": None,
    "log_partition": None,
    "marginals": ("log_partition",),
    "project": ("argmax",),
    "project_local": ("project",),
    "log_prob": ("log_partition",),
    "entropy": ("log_partition", "marginals"),
    "cross_entropy": ("log_partition", "marginals"),
    "kl": ("log_partition", "marginals"),
    "minimum_bayes_risk": ("argmax", "marginals"),
    "sample": None,
    "top_k": ("argmax",),
}
# A part of less probability counts as one that a distribution never has: in sums, it could as well be a rounding error.
NEGLIGIBLE = 1e-12


class Structure(Registrable):
    """
    What is predicted: a finite set `Z` of 0/1 tensors (trees, graphs, label sequences), one set per sentence. A
    structure knows its argmax, its polytope `conv(Z)` and its distribution `p(z) ~ exp(scores . z)`; it knows nothing
    of gradients, which are the business of [`StructuredArgmax`](../surrogates/structured_argmax.md).

    Only `argmax` has to be written: both projections and `top_k` then follow from it. From `log_partition` follow the
    marginals and all that is said of the distribution, but for samples. [`operations`](#operations) says what a
    structure can do, and `cells` what its cells mean.

    In every method `scores` (or `point`) is a floating tensor whose first axis is the batch and whose next axes are
    positions of the sentence, and `mask` is `(batch, length)` bool, True for ROOT (where the structure has one) and
    real tokens. Results have the dtype and device of their input, are 0 on everything masked, and never depend on what
    stands there. Inputs are never changed.

    # Raises

    `ValueError` for tensors of other shapes and dtypes, for scores that are NaN or +inf, and where -inf (forbidden
    parts) leaves no legal structure. `log_partition` and `marginals` also raise it where structures are told apart by
    sums in which float64 loses what matters: for scores above 1e9, and for sentences in which every structure has a
    part worse than -1e9. (A part that is worse does no harm where another can take its place; from -1e30 on it counts
    as forbidden.) The message names the sentence by its index in the batch.
    """

    cells = "parts"
    """
    What a cell stands for, in the plural: "heads" where it is the arc of a modifier, `[b, modifier, head]`, and each
    token has one; "labelled arcs", `[b, predicate, argument, label]`; and so on. A model asks for what it can read.
    """

    def argmax(self, scores: Cells, mask: AnyMask) -> Cells:
        """The best structure, `argmax_{z in Z} scores . z`: a 0/1 tensor of the shape of `scores`."""
        raise NotImplementedError

    def log_partition(self, scores: Cells, mask: AnyMask) -> Totals:
        """
        `log sum_{z in Z} exp(scores . z)`, `(batch,)`, differentiable; its gradient is the marginals. As all results it
        has the dtype of `scores`, although it is computed in float32 or float64. In float16, which ends at 65,504, that
        of a long sentence may be inf (its gradient is right all the same): ask for that of `scores.float()`.
        """
        raise NotImplementedError

    def marginals(self, scores: Cells, mask: AnyMask) -> Cells:
        """`E[z]` under `p(z) ~ exp(scores . z)`, of the shape of `scores`, differentiable."""
        create_graph = scores.requires_grad and torch.is_grad_enabled()
        with torch.enable_grad():
            scores = scores if create_graph else scores.detach().requires_grad_(scores.is_floating_point())
            log_z = self.log_partition(scores, mask).sum()
            return torch.autograd.grad(log_z, scores, create_graph=create_graph)[0]

    def log_partition_and_marginals(self, scores: Cells, mask: AnyMask) -> tuple[Totals, Cells]:
        """Both, for the price of one where a structure finds them together."""
        return self.log_partition(scores, mask), self.marginals(scores, mask)

    def log_prob(self, structures: torch.Tensor, scores: Cells, mask: AnyMask) -> torch.Tensor:
        """
        `log p(z) = scores . z - log_partition`, differentiable in the scores; -inf for a structure with a part that is
        forbidden. That `structures` are in `Z` is not checked. They are like `scores`, and the result is `(batch,)`; or
        they have an axis of samples first, as [`sample`](#sample) and [`top_k`](#top_k) return them, and the result is
        `(samples, batch)`.
        """
        if structures.shape[-scores.dim() :] != scores.shape or structures.dim() > scores.dim() + 1:
            expected = ", ".join(map(str, scores.shape))
            raise ValueError(f"expected structures ({expected}) or (samples, {expected}), found {structures.shape}")
        values = scores.double()
        total = _inner(structures.double(), values, self.parts(scores, mask))
        return (total - self.log_partition(values, mask)).to(scores.dtype)

    def entropy(self, scores: Cells, mask: AnyMask) -> Totals:
        """
        `-E[log p(z)]`, `(batch,)`, differentiable. Forbidden parts count 0, and get no gradient. Computed in float64.
        """
        return self._entropy_and_marginals(scores.double(), mask)[0].to(scores.dtype)

    def cross_entropy(self, scores: Cells, other_scores: Cells, mask: AnyMask) -> Totals:
        """
        `-E[log q(z)]` for `z ~ p`, where `q` is the distribution of `other_scores`: `(batch,)`, differentiable in both.
        Where -inf forbids `q` a part that `p` has with a probability above 1e-12, it is +inf, and that sentence has no
        gradient; forbidden parts that `p` does not have count 0.
        """
        marginals = self.marginals(scores.double(), mask)
        return self._cross_entropy(marginals, other_scores.double(), mask).to(scores.dtype)

    def kl(self, scores: Cells, other_scores: Cells, mask: AnyMask) -> Totals:
        """
        The Kullback-Leibler divergence `E[log p(z) - log q(z)]` for `z ~ p`, where `q` is the distribution of
        `other_scores`: `(batch,)`, differentiable in both, and +inf where [`cross_entropy`](#cross_entropy) is.
        """
        entropy, marginals = self._entropy_and_marginals(scores.double(), mask)
        return (self._cross_entropy(marginals, other_scores.double(), mask) - entropy).to(scores.dtype)

    def _entropy_and_marginals(self, scores: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_z, marginals = self.log_partition_and_marginals(scores, mask)
        possible = self.parts(scores, mask) & (scores > -torch.inf)
        return log_z - _inner(marginals, scores, possible), marginals

    def _cross_entropy(self, marginals: torch.Tensor, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts, forbidden = self.parts(scores, mask), scores == -torch.inf
        cross_entropy = self.log_partition(scores, mask) - _inner(marginals, scores, parts & ~forbidden)
        is_missed = (parts & forbidden & (marginals > NEGLIGIBLE)).flatten(1).any(1)
        return cross_entropy.masked_fill(is_missed, torch.inf)

    def minimum_bayes_risk(self, scores: Cells, mask: AnyMask) -> Cells:
        """
        The structure that differs from `z ~ p(z)` in the fewest cells on average: `argmax_{z in Z} (2 E[z] - 1) . z`,
        0/1, like `scores`. Where all structures have as many parts, as trees have, it is also that of the best expected
        overlap, `argmax_{z in Z} E[z] . z`. Forbidden parts stay so.
        """
        values = scores.detach().double()
        agreement = 2 * self.marginals(values, mask) - 1
        return self.argmax(agreement.masked_fill(values == -torch.inf, -torch.inf), mask).to(scores.dtype)

    def sample(
        self,
        scores: Cells,
        mask: AnyMask,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """
        Independent structures `z ~ p(z) ~ exp(scores . z)`, exactly: 0/1, `(num_samples, *scores.shape)`, without a
        gradient. With a `generator`, the numbers it has next decide; otherwise those of torch's own.
        """
        raise NotImplementedError

    def top_k(self, scores: Cells, mask: AnyMask, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The `k` best structures, each another one, best first.

        Unless a structure knows better, this is the method of [Lawler, 1972](https://doi.org/10.1287/mnsc.18.7.401): as
        many calls of `argmax` for each of the `k` as it has parts, for all of them at once.

        # Returns

        `tuple[torch.Tensor, torch.Tensor]`
            The structures, 0/1, `(k, *scores.shape)`, and their scores, `(k, batch)`, without gradients. Where a
            sentence has fewer, zeros and -inf follow.
        """
        from spigot_allennlp.nn.k_best import k_best

        return k_best(self.argmax, scores.detach(), mask, self.parts(scores, mask), k)

    def project(self, point: Cells, mask: AnyMask) -> Cells:
        """The nearest point of `conv(Z)`, to 1e-6 in each coordinate, of the shape of `point`, differentiable."""
        self.parts(point, mask)  # which checks the shapes
        return project_onto_hull_of(self.argmax, point, mask)

    def sparsemap(self, scores: Cells, mask: AnyMask) -> Cells:
        """
        `argmax_x  scores . x - ||x||^2 / 2` over `conv(Z)`, differentiable: the projection of the scores, unless a
        structure is asked to penalise less than all of its parts.
        """
        return self.project(scores, mask)

    def project_local(self, point: Cells, mask: AnyMask) -> Cells:
        """
        The nearest point of a cheap relaxation, a polytope that contains `Z` and has the same 0/1 points or more.
        Where there is none, that is the hull itself. Unlike the other methods it need not check its input: of NaN it
        may make NaN.
        """
        return self.project(point, mask)

    def polytopes(self) -> dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
        """By the names that configs use, the projections onto polytopes around `Z`."""
        return {"local": self.project_local, "exact": self.project}

    def parts(self, scores: Cells, mask: AnyMask) -> torch.Tensor:
        """
        Which cells stand for a part at all, bool, of the shape of `scores`, which is checked; others get no gradient.
        All, unless a structure says otherwise.
        """
        if not scores.is_floating_point():
            raise ValueError(f"expected floating scores, found {scores.dtype}")
        return torch.ones_like(scores, dtype=torch.bool)

    def linear_rules(self, parts: np.ndarray) -> LinearRules:
        """
        What makes a structure, in the linear rules that the 0/1 cells of one sentence obey; cells that are False in
        `parts`, bool and of their shape, are 0. For [`Constrained`](./constrained.md). Where these rules are not all
        there is to it, [`cuts`](#cuts) has the rest.
        """
        raise NotImplementedError

    def cuts(self, z: np.ndarray, parts: np.ndarray) -> LinearRules:
        """Rules that all structures obey and `z`, 0/1 cells that obey `linear_rules`, breaks: none if it is one."""
        return LinearRules()

    def best_under(self, rules: LinearRules, scores: np.ndarray, parts: np.ndarray) -> np.ndarray | None:
        """
        The best structure of one sentence that obeys further rules, or `None`. `scores` are float64, -inf off `parts`.

        Unless a structure knows better, an integer program with the rules of both. Where what makes a structure is too
        much to be written down (that there are no cycles, say), the answer may be none: then the rules that it breaks
        join the program ([Dantzig, Fulkerson & Johnson, 1954](https://doi.org/10.1287/opre.2.4.393)), and it is solved
        again.
        """
        rules.extend(self.linear_rules(parts))
        while (z := rules.best(scores)) is not None:
            cuts = self.cuts(z, parts)
            if not len(cuts):
                break
            rules.extend(cuts)
        return z

    def operations(self) -> frozenset[str]:
        """The names of the methods that can be called: those that the class writes, and those that follow from them."""

        def is_there(operation: str) -> bool:
            is_written = getattr(type(self), operation) is not getattr(Structure, operation)
            follows_from = _FOLLOWS_FROM[operation]
            return is_written or (follows_from is not None and all(map(is_there, follows_from)))

        return frozenset(filter(is_there, _FOLLOWS_FROM))

    def require(self, *operations: str, by: str) -> None:
        """Raises `ConfigurationError` where an operation that `by` needs is missing."""
        for operation in operations:
            if operation not in self.operations():
                raise ConfigurationError(f"{by} needs {operation}, and {registered_name(self, Structure)} has none")


def registered_name(instance: Registrable, registry: type[Registrable]) -> str:
    """The name that configs have for the class of `instance` or, where it is not registered, that of the class."""
    kind = type(instance)
    return next((name for name in registry.list_available() if registry.by_name(name) is kind), kind.__name__)


def _inner(weights: torch.Tensor, scores: torch.Tensor, possible: torch.Tensor) -> torch.Tensor:
    """
    The sum over all cells of a sentence of `weights * scores`, where they are `possible`; a weight of 0 counts 0.
    `(batch,)`, or `(samples, batch)` where `weights` have an axis of samples before those of `scores`.
    """
    products = weights * scores.where(possible & (weights != 0), 0.0)
    return products.flatten(1 - scores.dim()).sum(-1)


def project_onto_hull_of(argmax: Argmax, point: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The projection of [`project_onto_hull`](../nn/active_set.md), differentiable."""

    def project(target: torch.Tensor) -> ActiveSet:
        # The argmax sees all of its input first, and says what is wrong with it.
        return project_onto_hull(target, argmax, mask, initial=argmax(target, mask))

    return hull_projection(project, point)
