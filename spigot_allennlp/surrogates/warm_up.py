from functools import cache

import torch
from allennlp.common import FromParams

from spigot_allennlp.checks import whole


class WarmUp(torch.nn.Module, FromParams):
    """
    Lets the second stage learn first: nothing that it sends back reaches the first stage for `delay` passes, then a
    share that grows along a line over `num_passes` more, then all. What goes forward is never changed.

    A pass is one forward and backward, in training; one that activation checkpointing computes again counts once. How
    many there were is part of the state dict, so that a recovered training run goes on where it stopped.

    While nothing is passed on, parameters that get no other gradient get none at all (`None`, not zeros, which an
    optimizer with weight decay would make something of).

    # Parameters

    delay : `int`, optional (default = `0`)
        How many passes bring the first stage no gradient.
    num_passes : `int`, optional (default = `1`)
        Over how many passes after these the gradient grows to its full length: the first has a share of
        `1 / num_passes`.
    """

    def __init__(self, delay: int = 0, num_passes: int = 1) -> None:
        super().__init__()
        self.delay = whole("delay", delay, at_least=0)
        self.num_passes = whole("num_passes", num_passes)
        self.register_buffer("passes", torch.zeros((), dtype=torch.long))

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """`scores`, through which the share that is due comes back. They need a gradient."""
        if self.passes < self.delay:
            scores = scores.detach().requires_grad_()
        # A pass counts when its gradient comes back, once.
        share = cache(self._next_share)
        scores = scores.view_as(scores)
        scores.register_hook(lambda d_scores: d_scores * share().to(d_scores))
        return scores

    def _next_share(self) -> torch.Tensor:
        share = ((self.passes - self.delay + 1) / self.num_passes).clamp(0, 1)
        if self.training:
            self.passes += 1
        return share
