from collections.abc import Sequence
from typing import Optional

import torch
from allennlp.common import FromParams, Lazy
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.modules import FeedForward
from torch.nn.functional import pad

from spigot_allennlp.data.frames import NO_FRAME, to_frame


class FrameClassifier(torch.nn.Module, FromParams):
    """
    Scores the frames of a token, and those of its lemma only where training data has the lemma with a frame: predicate
    sense disambiguation, joined with finding the predicates, as a token with no score above 0 has no frame.

    # Parameters

    vocab : `Vocabulary`
        With the namespaces of [`FrameField`](../data/fields.md#framefield).
    input_dim : `int`
        The width of the tokens. The model fills it in.
    feedforward : `FeedForward`, optional (default = `None`)
        What stands between a token and its scores; its `input_dim` is filled in.
    use_lemmas : `bool`, optional (default = `True`)
        Whether a lemma that has a frame in the training data may only have such frames as it has there.

    # Raises

    `ConfigurationError`, if the vocabulary has no frames.
    """

    def __init__(
        self,
        vocab: Vocabulary,
        input_dim: int,
        feedforward: Optional[Lazy[FeedForward]] = None,
        use_lemmas: bool = True,
    ) -> None:
        super().__init__()
        ids = vocab.get_token_to_index_vocabulary("frame_labels")
        if not ids:
            raise ConfigurationError(
                "the vocabulary has no frame_labels: does the reader have `frames: true`, and the training data frames?"
            )
        self._labels = vocab.get_index_to_token_vocabulary("frame_labels")
        self.feedforward = None
        if feedforward is not None:
            self.feedforward = feedforward.construct(input_dim=input_dim)
            input_dim = self.feedforward.get_output_dim()
        self.projection = torch.nn.Linear(input_dim, len(ids))
        self.projection._vocab_namespace = "frame_labels"
        pairs = [pair.split("\t") for pair in vocab.get_token_to_index_vocabulary("lemma_frame_labels")]
        self._rows = {lemma: row for row, lemma in enumerate(dict.fromkeys(lemma for lemma, _ in pairs))}
        if not use_lemmas:
            pairs, self._rows = [], {}
        # Of each lemma the labels that it may have; the last row is for all other lemmas.
        allowed = torch.zeros(len(self._rows) + 1, len(ids), dtype=torch.bool)
        allowed[-1] = True
        for lemma, label in pairs:
            allowed[self._rows[lemma], ids[label]] = True
        self.register_buffer("_allowed", allowed, persistent=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of `(batch, length, input_dim)` the scores of all labels, `(batch, length, labels)`."""
        return self.projection(tokens if self.feedforward is None else self.feedforward(tokens))

    def loss(self, scores: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        The negative log-likelihood of gold frames under a softmax in which no frame has the score 0.

        # Parameters

        scores : `torch.Tensor`
            `(batch, length, labels)`.
        gold : `torch.Tensor`
            `(batch, length)` int64: the label of each token, -1 where there is none. One that is not known is left out.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT, which has no frame, and real tokens.

        # Returns

        `torch.Tensor`
            `()`, summed over the batch.
        """
        counts = mask & (gold < scores.shape[2])
        counts[:, 0] = False
        log_probs = pad(scores[counts], (1, 0)).log_softmax(dim=1)
        return -log_probs.gather(1, gold[counts].unsqueeze(1) + 1).sum()

    def restrict(self, scores: torch.Tensor, lemmas: Sequence[Sequence[str]]) -> torch.Tensor:
        """The scores, -inf for the labels that a token's lemma may not have, and for all of ROOT and padding."""
        rows = torch.full(scores.shape[:2], -1)
        is_token = torch.zeros(scores.shape[:2], dtype=torch.bool)
        for sentence, words in enumerate(lemmas):
            rows[sentence, 1 : len(words) + 1] = torch.tensor([self._rows.get(lemma, -1) for lemma in words])
            is_token[sentence, 1 : len(words) + 1] = True
        allowed = self._allowed[rows.to(scores.device)] & is_token.to(scores.device).unsqueeze(2)
        return scores.masked_fill(~allowed, -torch.inf)

    def choose(self, scores: torch.Tensor) -> torch.Tensor:
        """The best labels, `(batch, length)` int64, -1 where no score is above 0."""
        best, labels = scores.max(dim=2)
        return labels.masked_fill(best <= 0, -1)

    def probabilities(self, scores: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """How probable what is chosen is, `(batch, length)`."""
        return pad(scores, (1, 0)).softmax(dim=2).gather(2, chosen.unsqueeze(2) + 1).squeeze(2)

    def read(self, chosen: torch.Tensor, lemmas: Sequence[Sequence[str]]) -> list[list[str]]:
        """The frame of each token of each sentence, `_` where there is none."""
        return [
            [
                NO_FRAME if label < 0 else to_frame(self._labels[label], lemma)
                for label, lemma in zip(labels[1:], words, strict=False)
            ]
            for labels, words in zip(chosen.tolist(), lemmas, strict=True)
        ]
