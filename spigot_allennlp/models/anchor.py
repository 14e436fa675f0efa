import copy

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors

from spigot_allennlp.checks import not_negative
from spigot_allennlp.models.parser import Parser


class Anchor:
    """
    Bounds how far a pretrained first stage moves: a loss `weight * KL(p || q)`, where `p` is the distribution over
    structures, `exp(scores . z)` normalised, of the stage as it was pretrained, and `q` that of the stage in training.

    `p` comes from a copy of the stage, frozen and without dropout. The copy is no part of the model: no optimizer,
    checkpoint or archive sees it, and a recovered training run makes it again from the same `pretrained_file`.

    # Parameters

    stage : `Parser`
        The first stage, as it is before training.
    name : `str`
        Its key in the config.
    weight : `float`
        Not negative.

    # Raises

    `ConfigurationError`, if the stage's structure has no sums.
    """

    def __init__(self, stage: Parser, name: str, weight: float) -> None:
        self.weight = not_negative("pretrained_kl_weight", weight)
        self._name = name
        stage.structure.require("kl", by="pretrained_kl_weight")
        self._pretrained = None
        if stage.is_pretrained:
            self._pretrained = copy.deepcopy(stage, {id(stage.vocab): stage.vocab}).requires_grad_(False).eval()

    def loss(self, tokens: TextFieldTensors, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        # Parameters

        tokens : `TextFieldTensors`
        scores : `torch.Tensor`
            What the stage in training gives for them.
        mask : `torch.Tensor`
            `(batch, length)` bool.

        # Returns

        `torch.Tensor`
            `()`, summed over the batch.

        # Raises

        `ConfigurationError`, if the stage has not been pretrained. Not before there is something to train: an archive
        has no `pretrained_file` any more.
        """
        if self._pretrained is None:
            raise ConfigurationError(f"pretrained_kl_weight needs a pretrained_file of {self._name}, found none")
        self._pretrained.to(scores.device)
        with torch.no_grad():
            pretrained_scores = self._pretrained.structure_scores(tokens)
        return self.weight * self._pretrained.structure.kl(pretrained_scores, scores, mask).sum()
