import torch
from allennlp.nn.util import dist_reduce_sum

from spigot_allennlp.surrogates import StructuredArgmax

_CHANGED = 0.5
"""By how much more than this a weight in [0, 1] has to change to be another one as a 0/1 value."""


class GradientWatch:
    """
    What comes back through a structure, in figures: averages over the sentences of the batches that are looked at. It
    only looks, so that training goes as it would without it.

    ```python
    with GradientWatch(model.intermediate) as watch:
        model(**batch)["loss"].backward()
    print(watch.figures())
    ```

    # Parameters

    layer : `StructuredArgmax`
    every : `int`, optional (default = `1`)
        Of the batches in training, each so-manieth is looked at.
    """

    def __init__(self, layer: StructuredArgmax, every: int = 1) -> None:
        self.layer = layer
        self.every = every
        self.batches = 0
        # Sentences; their norms; those after clipping; how many are clipped; norms of what reaches the scores;
        # ranges of scores; tokens; those whose target differs; the weight that moves.
        self._sums = torch.zeros(9, dtype=torch.double)

    def __enter__(self) -> "GradientWatch":
        self.layer.observer = self._observe
        return self

    def __exit__(self, *error) -> None:
        self.layer.observer = None

    def figures(self, reset: bool = False) -> dict[str, float]:
        """
        # Parameters

        reset : `bool`, optional (default = `False`)
            Whether to start anew. Then, with several workers, the figures are those of all, who must all call this.

        # Returns

        `dict[str, float]`
            `gradient_norm` and `gradient_norm_clipped`: the Euclidean norm of a sentence's `dL/dz` as it comes, and as
            the rule sees it. `sentences_clipped`: the share of those that were longer than `max_gradient_norm`.
            `score_gradient_norm`: the norm of what the first stage gets for it, before any warm-up. `score_range`: how
            far a sentence's highest score is above its lowest, of parts that are not forbidden. For rules with a
            target, `target_differs`: the share of tokens for which the target, rounded to 0 and 1, is not what the rule
            started from; and `target_distance`: how much weight a token moves, on average. Nothing, if nothing came.
        """
        sums = self._sums
        if reset:
            sums = dist_reduce_sum(sums)
            self._sums = torch.zeros_like(self._sums)
        sentences, norm, clipped_norm, clipped, score_norm, score_range, tokens, differing, moved = sums.tolist()
        if not sentences:
            return {}
        figures = {
            "gradient_norm": norm / sentences,
            "gradient_norm_clipped": clipped_norm / sentences,
            "sentences_clipped": clipped / sentences,
            "score_gradient_norm": score_norm / sentences,
            "score_range": score_range / sentences,
        }
        if self.layer.has_target:
            figures |= {"target_differs": differing / tokens, "target_distance": moved / tokens}
        return figures

    def state_dict(self) -> dict[str, object]:
        return {"batches": self.batches, "sums": self._sums}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        self.batches, sums = state_dict["batches"], state_dict["sums"]
        if sums.shape == self._sums.shape:  # not from a version with other figures
            self._sums = sums

    def _observe(self, scores: torch.Tensor, mask: torch.Tensor, z: torch.Tensor) -> None:
        if not (self.layer.training and z.requires_grad):
            return
        self.batches += 1
        if (self.batches - 1) % self.every:
            return
        # No hook is to hold the graph that holds it.
        values = scores.detach()
        parts = self.layer.structure.parts(values, mask) & (values > -torch.inf)
        highest, lowest = (values.where(parts, sign * torch.inf).flatten(1) for sign in (-1, 1))
        ranges = highest.amax(1).double() - lowest.amin(1).double()
        came = []
        z.register_hook(lambda d_z: came.append(d_z.detach()))

        def count(d_scores: torch.Tensor) -> None:
            if came:
                self._count(came.pop(), d_scores.detach(), ranges, parts)

        scores.register_hook(count)

    def _count(self, d_z: torch.Tensor, d_scores: torch.Tensor, ranges: torch.Tensor, parts: torch.Tensor) -> None:
        is_there = parts.flatten(1).any(1)
        d_z, d_scores = ((d.double() / self.layer.factor).where(parts, 0.0)[is_there] for d in (d_z, d_scores))
        norms, score_norms = (d.flatten(1).norm(dim=1) for d in (d_z, d_scores))
        is_finite = norms.isfinite() & score_norms.isfinite()
        norms, score_norms, d_scores = norms[is_finite], score_norms[is_finite], d_scores[is_finite]
        most = self.layer.max_gradient_norm or torch.inf
        # A position of the sentence, and all cells that are its own. Shape: (sentences, length)
        is_token = parts[is_there][is_finite].unsqueeze(-1).flatten(2).any(2)
        moves = d_scores.unsqueeze(-1).flatten(2).abs()
        counts = (
            is_finite.sum(),
            norms.sum(),
            norms.clamp(max=most).sum(),
            (norms > most).sum(),
            score_norms.sum(),
            ranges[is_there][is_finite].sum(),
            is_token.sum(),
            (moves > _CHANGED).any(2).sum(),
            moves.sum() / 2,
        )
        self._sums += torch.stack([count.double() for count in counts]).cpu()
