"""SparseMAP of label sequences in which labels, the unaries, are penalised and their pairs are not."""

from typing import Any

import torch

from spigot_allennlp.nn.active_set import stalled
from spigot_allennlp.nn.errors import check_shapes, raise_for_status
from spigot_allennlp.nn.shapes import Float, Mask, Tensor

LabelPairs = Float[Tensor, "batch length labels labels"]


def mix_sequences(scores: LabelPairs, mask: Mask) -> LabelPairs:
    """
    `argmax_x  x . scores - ||labels(x)||^2 / 2  s.t.  x in conv(Z)`, where `Z` are the label sequences of a sentence,
    by their pairs of neighbours, and `labels(x)` is `x` summed over the previous label: SparseMAP of factor graphs as
    [Niculae et al., 2018](https://arxiv.org/abs/1802.04223) define it.

    The labels are unique. Where they can be had from several mixtures of pairs that score the same, the answer has some
    of each pair that any of those has.

    About 15 steps of an interior-point method, of `O(length labels^3)` each, whatever the length, and then the
    equations of the face to which they lead, whose answer a run of Viterbi's algorithm proves. All runs serially on the
    CPU, in float64; the algorithm: [`kernels/chain_labels.py`](./kernels/chain_labels.md).

    # Parameters

    scores : `torch.Tensor`
        Shape `(batch, length, labels, labels)`, floating, on any device, indexed `[batch, position, previous,
        current]`. -inf forbids a pair. Cells that no sequence has are ignored. Not changed.
    mask : `torch.Tensor`
        Shape `(batch, length)`, bool, True for tokens.

    # Returns

    `torch.Tensor`
        Shape, dtype and device of `scores`. Differentiable once, exactly. What would only exchange pairs for each
        other, while the labels stay, has no part in the derivative: the answer can jump there.

    # Raises

    `ValueError` naming the sentence where a score is NaN or +inf, or where no sequence is left. `RuntimeError` where
    rounding keeps a sentence from its answer.
    """
    return _Mixture.apply(scores, mask)


class _Mixture(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        from spigot_allennlp.nn.kernels import chain_hull

        check_shapes(scores, mask, "batch", "length", "labels", "labels")
        values, mask = scores.detach().double().cpu().contiguous(), mask.cpu().contiguous()
        mixture = torch.zeros_like(values)
        done = torch.ones(len(values), dtype=torch.bool)
        status, sentence = chain_hull.mix_sequences(values.numpy(), mask.numpy(), mixture.numpy(), done.numpy())
        raise_for_status(status, sentence)
        for undone in (~done).nonzero():
            raise stalled(int(undone))
        ctx.save_for_backward(mixture, mask)
        return mixture.to(scores.device, scores.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_mixture: torch.Tensor) -> tuple[torch.Tensor, None]:
        from spigot_allennlp.nn.kernels import chain_hull

        mixture, mask = ctx.saved_tensors
        gradient = d_mixture.double().cpu().contiguous()
        d_scores = torch.zeros_like(gradient)
        chain_hull.apply_jacobian_for_labels(mixture.numpy(), mask.numpy(), gradient.numpy(), d_scores.numpy())
        return d_scores.to(d_mixture.device, d_mixture.dtype), None
