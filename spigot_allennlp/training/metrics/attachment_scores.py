from typing import Optional

import torch
from allennlp.nn.util import dist_reduce_sum
from allennlp.training.metrics import Metric


@Metric.register("spigot_attachment_scores")
class AttachmentScores(Metric):
    """
    The share of tokens with the right head (UAS), with the right head and label (LAS), and of sentences whose heads
    are all right (UEM), punctuation included, as Universal Dependencies counts.

    Unlike the framework's `attachment_scores` it exchanges only sums between workers, so that it works where their
    batches differ in shape.

    Registered as a `Metric` with name "spigot_attachment_scores".
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # Tokens, right heads, right heads with the right label; sentences, sentences whose heads are all right.
        self._counts = torch.zeros(5, dtype=torch.long)
        self._has_labels = False

    def __call__(  # type: ignore
        self,
        predicted_heads: torch.Tensor,
        gold_heads: torch.Tensor,
        mask: torch.Tensor,
        predicted_labels: Optional[torch.Tensor] = None,
        gold_labels: Optional[torch.Tensor] = None,
    ) -> None:
        """
        # Parameters

        predicted_heads, gold_heads : `torch.Tensor`
            `(batch, length)` int64: the head of each token. ROOT's own entry, at position 0, is not looked at.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        predicted_labels, gold_labels : `torch.Tensor`, optional (default = `None`)
            `(batch, length)` int64: the labels of these arcs. Both or neither.
        """
        predicted_heads, gold_heads, mask = self.detach_tensors(predicted_heads, gold_heads, mask)
        is_token = mask[:, 1:]
        is_right = (predicted_heads == gold_heads)[:, 1:] & is_token
        has_tokens = is_token.any(dim=1)
        is_labelled = torch.zeros_like(is_right)
        if predicted_labels is not None:
            self._has_labels = True
            predicted_labels, gold_labels = self.detach_tensors(predicted_labels, gold_labels)
            is_labelled = is_right & (predicted_labels == gold_labels)[:, 1:]
        is_exact = (is_right == is_token).all(dim=1) & has_tokens
        counts = torch.stack([part.sum() for part in (is_token, is_right, is_labelled, has_tokens, is_exact)])
        self._counts += dist_reduce_sum(counts).cpu()

    def get_metric(self, reset: bool = False) -> dict[str, float]:
        """
        `uas`, `uem` and, where labels were given, `las`, in [0, 1]. Nothing before any token was counted: a corpus
        without trees has no such figures.
        """
        tokens, heads, labelled, sentences, exact = self._counts.tolist()
        metrics = {"uas": heads / tokens, "uem": exact / sentences} if tokens else {}
        if tokens and self._has_labels:
            metrics["las"] = labelled / tokens
        if reset:
            self.reset()
        return metrics
