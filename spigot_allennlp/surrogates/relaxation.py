from typing import Optional

from spigot_allennlp.nn.shapes import AnyMask, Cells
from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates.structured_argmax import LossAt, StructuredArgmax
from spigot_allennlp.surrogates.warm_up import WarmUp


class Relaxation(StructuredArgmax):
    """
    A `StructuredArgmax` that lets a mixture of structures go forward, and its exact derivative come back.

    # Parameters

    structure : `Structure`
        What is predicted.
    hard_at_test : `bool`, optional (default = `False`)
        Whether the best structure stands in for the mixture when the module is not in training.
    warm_up : `WarmUp`, optional (default = `None`)
        How long no gradient passes, and how it then sets in.
    """

    def __init__(self, structure: Structure, hard_at_test: bool = False, warm_up: Optional[WarmUp] = None) -> None:
        super().__init__(structure, warm_up)
        self.hard_at_test = hard_at_test

    @property
    def passes_mixture(self) -> bool:
        return self.training or not self.hard_at_test

    def take(self, scores: Cells, mask: AnyMask, loss_at: LossAt | None = None) -> Cells:
        return self.relax(scores, mask) if self.passes_mixture else self.structure.argmax(scores.detach(), mask)

    def relax(self, scores: Cells, mask: AnyMask) -> Cells:
        """The mixture, differentiable."""
        raise NotImplementedError


@StructuredArgmax.register("structured_attention")
class StructuredAttention(Relaxation):
    """
    The marginals of all parts under `p(z)` proportional to `exp(s . z)`
    ([Kim et al., 2017](https://arxiv.org/abs/1702.00887); [Liu & Lapata, 2018](https://aclanthology.org/Q18-1005/)).

    Registered as a `StructuredArgmax` with name "structured_attention"; parameters as in [`Relaxation`](#relaxation).
    """

    needs = ("argmax", "marginals")

    def relax(self, scores: Cells, mask: AnyMask) -> Cells:
        return self.structure.marginals(scores, mask)


@StructuredArgmax.register("sparsemap")
class SparseMap(Relaxation):
    """
    The mixture of few structures that is nearest to the scores, `argmin_{mu in conv(Z)} ||mu - s||^2`
    ([SparseMAP, Niculae et al., 2018](https://arxiv.org/abs/1802.04223)); `linear_chain` can penalise less of `mu`.

    Registered as a `StructuredArgmax` with name "sparsemap"; parameters as in [`Relaxation`](#relaxation).
    """

    needs = ("argmax", "project")

    def relax(self, scores: Cells, mask: AnyMask) -> Cells:
        return self.structure.sparsemap(scores, mask)
