import torch
from allennlp.common import Registrable


class Structure(Registrable):
    """
    What is predicted: a finite set `Z` of 0/1 tensors (trees, graphs, label sequences), one set per sentence. A
    structure knows its argmax, its polytope `conv(Z)` and its marginals; it knows nothing of gradients, which are the
    business of [`StructuredArgmax`](../modules/structured_argmax.md).

    Only `argmax` has to be written: both projections then follow from it. What else a structure can do depends on
    whether someone knows how.

    In every method `scores` (or `point`) is a floating tensor whose first axis is the batch and whose next axes are
    positions of the sentence, and `mask` is `(batch, length)` bool, True for ROOT (where the structure has one) and
    real tokens. Results have the dtype and device of their input, are 0 on everything masked, and never depend on what
    stands there. Inputs are never changed. `context` holds further inputs that some structures have (the predicate
    scores of a semantic graph); it reaches every method unchanged.

    # Raises

    `ValueError` for scores that are NaN or +inf, and where -inf (forbidden parts) leaves no legal structure. The
    message names the sentence by its index in the batch.
    """

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """The best structure, `argmax_{z in Z} scores . z`: a 0/1 tensor of the shape of `scores`."""
        raise NotImplementedError

    def log_partition(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """`log sum_{z in Z} exp(scores . z)`, `(batch,)`, differentiable; its gradient is the marginals."""
        raise NotImplementedError

    def marginals(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """`E[z]` under `p(z) ~ exp(scores . z)`, of the shape of `scores`, differentiable."""
        raise NotImplementedError

    def project(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """The nearest point of `conv(Z)`, to 1e-6 in each coordinate, of the shape of `point`, differentiable."""
        from spigot_allennlp.nn.active_set import hull_projection, project_onto_hull

        return hull_projection(lambda target: project_onto_hull(target, self.argmax, mask), point)

    def project_local(self, point: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """
        The nearest point of a cheap relaxation, a polytope that contains `Z` and has the same 0/1 points or more.
        Where there is none, that is the hull itself. Unlike the other methods it need not check its input: of NaN it
        may make NaN.
        """
        return self.project(point, mask, **context)

    def parts(self, scores: torch.Tensor, mask: torch.Tensor, **context: torch.Tensor) -> torch.Tensor:
        """
        Which cells stand for a part at all, bool, of the shape of `scores`; others get no gradient. All, unless a
        structure says otherwise.
        """
        return torch.ones_like(scores, dtype=torch.bool)
