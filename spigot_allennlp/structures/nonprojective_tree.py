import torch

from spigot_allennlp.nn.arcs import FORBIDDEN, check_arc_shapes, finite_arc_scores
from spigot_allennlp.nn.cuts import project_onto_arborescences
from spigot_allennlp.nn.decoding import decode_on_host, k_best_on_host, one_hot, sample_on_host
from spigot_allennlp.nn.errors import check_count, check_totals
from spigot_allennlp.nn.partition import (
    Summation,
    log_partition,
    log_partition_and_marginals,
    sum_by_autograd,
    sum_on_host,
)
from spigot_allennlp.nn.sampling import draw_options
from spigot_allennlp.nn.shapes import BestTotals, Mask, Totals
from spigot_allennlp.structures.heads import Best, DependencyTree, Samples, Scores
from spigot_allennlp.structures.structure import Structure


@Structure.register("nonprojective_tree")
class NonprojectiveTree(DependencyTree):
    """
    Dependency trees, crossing arcs allowed. For `scores` see [`Heads`](./heads.md).

    Registered as a `Structure` with name "nonprojective_tree". Parameters are those of
    [`DependencyTree`](./heads.md#dependencytree).
    """

    def argmax(self, scores: Scores, mask: Mask) -> Scores:
        """
        A maximum spanning arborescence from ROOT, by the algorithm of
        [Edmonds, 1967](https://doi.org/10.6028/jres.071B.032) and Chu & Liu, 1965, in the `O(length^2)` form for dense
        graphs of [Tarjan, 1977](https://doi.org/10.1002/net.3230070103), grown along paths as in
        [Gabow et al., 1986](https://doi.org/10.1007/BF02579168), with a single root hardly dearer. It runs serially on
        the CPU, in float64. Of several best trees, any one.
        """
        from spigot_allennlp.nn.kernels.chu_liu_edmonds import maximum_arborescences

        return decode_on_host(maximum_arborescences, scores, mask, self.single_root)

    def log_partition(self, scores: Scores, mask: Mask) -> Totals:
        """
        By the matrix-tree theorem ([Tutte, 1948](https://doi.org/10.1017/S030500410002444X)); for a single root as
        [Koo et al., 2007](https://aclanthology.org/D07-1015/). `O(length^3)` time and `O(length^2)` memory. It is
        computed in float64 and subtracts no sums from each other, so that it holds however far scores spread, up to the
        bound that all sums have. Differentiable any number of times.

        It is a compiled, serial elimination on the CPU. Scores that spread very far take one in log space by torch
        operations, and so do derivatives beyond the first one of the marginals, in `O(length^3)` memory.
        """
        check_arc_shapes(scores, mask)
        return log_partition(_SUMMATION, scores, mask, self.single_root)

    def marginals(self, scores: Scores, mask: Mask) -> Scores:
        """The gradient of `log_partition`. Differentiable, and twice too, though the second time takes longer."""
        return self.log_partition_and_marginals(scores, mask)[1]

    def log_partition_and_marginals(self, scores: Scores, mask: Mask) -> tuple[Totals, Scores]:
        check_arc_shapes(scores, mask)
        return log_partition_and_marginals(_SUMMATION, scores, mask, self.single_root)

    def sample(
        self, scores: Scores, mask: Mask, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Samples:
        """
        By the loop-erased random walk of [Wilson, 1996](https://doi.org/10.1145/237814.237880), with another way out of
        cycles that are too likely. Of a single root, the token under ROOT is drawn first, by its marginal; what hangs
        from it is then a tree without further rules.
        """
        from spigot_allennlp.nn.kernels.sample_arborescences import sample_arborescences

        check_arc_shapes(scores, mask)
        check_count("num_samples", num_samples)
        tops = torch.zeros(num_samples, len(scores), dtype=torch.long)
        if self.single_root:
            with_tokens = mask[:, 1:].any(1)
            tops_of_all = self.marginals(scores.detach().double(), mask)[:, :, 0].log()
            tops_of_all[~with_tokens, 0] = 0
            tops = draw_options(tops_of_all, num_samples, generator).cpu()
        kernel = sample_arborescences
        heads = sample_on_host(kernel, scores, mask, tops.numpy(), num_samples=num_samples, generator=generator)
        return one_hot(heads, like=scores)

    def top_k(self, scores: Scores, mask: Mask, k: int) -> tuple[Best, BestTotals]:
        """
        By the method of [Camerini, Fratta & Maffioli, 1980](https://doi.org/10.1002/net.3230100202), in `O(k length^2)`
        on all but odd scores; a single root as [Zmigrod et al., 2021](https://aclanthology.org/2021.acl-long.423/).
        """
        from spigot_allennlp.nn.kernels.k_best_arborescences import k_best_arborescences

        check_arc_shapes(scores, mask)
        heads, totals = k_best_on_host(k_best_arborescences, scores, mask, self.single_root, k=k)
        return one_hot(heads, like=scores), totals

    def project(self, point: Scores, mask: Mask) -> Scores:
        """By cutting planes in the dual: see [`nn/cuts.py`](../nn/cuts.md)."""
        return project_onto_arborescences(point, mask, self.single_root)


def _sum_over_arborescences(
    scores: torch.Tensor,
    mask: torch.Tensor,
    single_root: bool,
    direction: torch.Tensor | None = None,
    with_marginals: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    from spigot_allennlp.nn.kernels.matrix_tree import sum_over_arborescences

    try:
        return sum_on_host(
            sum_over_arborescences, scores, mask, single_root, direction=direction, with_marginals=with_marginals
        )
    except FloatingPointError:
        pass
    return sum_by_autograd(_sum_in_log_space, scores, mask, single_root, direction=direction)


def _sum_in_log_space(scores: torch.Tensor, mask: torch.Tensor, single_root: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """
    `log Z` and the marginals, by the elimination that [`sum_over_arborescences`](./kernels/matrix_tree.md) explains, on
    the logarithms of all weights. Each sentence eliminates the token of the largest mass next.
    """
    batch_size, length = mask.shape
    rows = torch.arange(batch_size, device=mask.device)
    is_root = torch.arange(length, device=mask.device) == 0
    # Shape: (batch_size, length, length)
    scores = finite_arc_scores(scores, mask)
    weight = scores
    # Tokens that are not eliminated yet. Shape: (batch_size, length)
    left = mask & ~is_root
    # Shape: (batch_size,)
    log_z = scores[:, 0, 0] * 0
    steps = []
    for _ in range(length - 1):
        is_last = left.sum(1, keepdim=True) == 1
        # Whether a head counts in the mass. Shape: (batch_size, length)
        counted = left | is_root & (is_last if single_root else True)
        mass = weight.where(counted.unsqueeze(1), FORBIDDEN).logsumexp(2)
        pivot = mass.where(left, 2 * FORBIDDEN).argmax(1)
        active = left.any(1, keepdim=True)
        # Shape: (batch_size, 1)
        pivot_mass = mass[rows, pivot].unsqueeze(1).where(active, 0.0)
        left = left.index_put((rows, pivot), torch.zeros_like(pivot, dtype=torch.bool))
        # Shape: (batch_size, length)
        remains = left | is_root
        share = weight[rows, pivot].where(remains, FORBIDDEN) - pivot_mass
        of_pivot = weight[rows, :, pivot].where(left & active, FORBIDDEN)
        log_z = log_z + pivot_mass.squeeze(1)
        steps.append((pivot, pivot_mass, counted, remains, share, of_pivot))
        through_pivot = of_pivot.unsqueeze(2) + share.unsqueeze(1)
        weight = torch.stack((weight, through_pivot)).logsumexp(0)
        weight = weight.where(~torch.eye(length, dtype=torch.bool, device=mask.device), FORBIDDEN)
    check_totals(log_z, length)

    # The logarithm of d log Z / d weight.
    slope = torch.full_like(scores, FORBIDDEN)
    for pivot, pivot_mass, counted, remains, share, of_pivot in reversed(steps):
        # Shape: (batch_size, length)
        into_pivot = (slope + share.unsqueeze(1)).logsumexp(2)
        gain = (slope + of_pivot.unsqueeze(2)).logsumexp(1)
        # What else each head of the pivot gains by adding to its mass: at most 1, and negative where the pivot has more
        # than one modifier on average.
        # Shape: (batch_size, 1)
        from_mass = 1 - (share + gain).exp().sum(1, keepdim=True)
        top = gain.clamp(min=0)
        total = (gain - top).exp() + from_mass * (-top).exp()
        out_of_pivot = torch.where(counted, total.clamp(min=1e-300).log() + top, gain) - pivot_mass
        slope = slope.scatter(2, pivot.view(-1, 1, 1).expand(-1, length, 1), into_pivot.unsqueeze(2))
        slope = slope.index_put((rows, pivot), out_of_pivot.where(remains, FORBIDDEN))
    return log_z, (scores + slope).exp()


_SUMMATION = Summation(_sum_over_arborescences, _sum_in_log_space)
