from typing import Optional

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics.counting_metric import CountingMetric


@Metric.register("spigot_attachment_scores")
class AttachmentScores(CountingMetric):
    """
    The share of tokens with the right head (UAS), with the right head and label (LAS), and of sentences whose heads
    are all right (UEM), punctuation included, as Universal Dependencies counts; and, where it is told what punctuation
    is, the first two without it.

    Unlike the framework's `attachment_scores` it exchanges only sums between workers, at the end of a pass; see
    [`CountingMetric`](#countingmetric).

    Registered as a `Metric` with name "spigot_attachment_scores".

    # Parameters

    punctuation : `str`, optional (default = `"both"`)
        "both": figures with and without punctuation, if it is known. "ignored": `uas`, `las` and `uem` are those
        without it, and there are no others.
    """

    def __init__(self, punctuation: str = "both") -> None:
        if punctuation not in ("both", "ignored"):
            raise ConfigurationError(f"punctuation must be one of both, ignored, but is {punctuation!r}")
        self._ignores_punctuation = punctuation == "ignored"
        # Tokens, right heads; tokens with a label, right heads with the right label; sentences, those all right. Then
        # the first four of sentences whose punctuation is known, without it.
        super().__init__(10)

    def __call__(  # type: ignore
        self,
        predicted_heads: torch.Tensor,
        gold_heads: torch.Tensor,
        mask: torch.Tensor,
        predicted_labels: Optional[torch.Tensor] = None,
        gold_labels: Optional[torch.Tensor] = None,
        is_punctuation: Optional[torch.Tensor] = None,
    ) -> None:
        """
        # Parameters

        predicted_heads, gold_heads : `torch.Tensor`
            `(batch, length)` int64: the head of each token. ROOT's own entry, at position 0, is not looked at.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        predicted_labels, gold_labels : `torch.Tensor`, optional (default = `None`)
            `(batch, length)` int64: the labels of these arcs. Both or neither.
        is_punctuation : `torch.Tensor`, optional (default = `None`)
            `(batch, length)` bool: the tokens that figures without punctuation leave out. By default it is not known.
        """
        predicted_heads, gold_heads, mask = self.detach_tensors(predicted_heads, gold_heads, mask)
        if self._ignores_punctuation:
            if is_punctuation is None:
                raise ConfigurationError("attachment scores without punctuation need a reader with `punctuation`")
            mask, is_punctuation = mask & ~is_punctuation, None
        is_token = mask[:, 1:]
        is_right = (predicted_heads == gold_heads)[:, 1:] & is_token
        has_tokens = is_token.any(dim=1)
        has_label = is_labelled = torch.zeros_like(is_right)
        if predicted_labels is not None:
            predicted_labels, gold_labels = self.detach_tensors(predicted_labels, gold_labels)
            has_label, is_labelled = is_token, is_right & (predicted_labels == gold_labels)[:, 1:]
        is_exact = (is_right == is_token).all(dim=1) & has_tokens
        words = torch.zeros_like(is_token) if is_punctuation is None else ~is_punctuation[:, 1:]
        parts = [is_token, is_right, has_label, is_labelled]
        self.count(
            *(part.sum(dim=1) for part in parts), has_tokens, is_exact, *((part & words).sum(dim=1) for part in parts)
        )

    def shares(self, counts: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """
        `uas` and `uem`; `las`, of the tokens that were given with a label; `uas_without_punctuation` and
        `las_without_punctuation`, of those whose punctuation is known. A corpus without trees has no such figures.
        """
        tokens, heads, with_label, labelled, sentences, exact, *words = counts.unbind(-1)
        return {
            "uas": (heads, tokens),
            "uem": (exact, sentences),
            "las": (labelled, with_label),
            "uas_without_punctuation": (words[1], words[0]),
            "las_without_punctuation": (words[3], words[2]),
        }
