import logging
from collections.abc import Sequence
from textwrap import shorten
from typing import Any, Optional

import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics.counting_metric import CountingMetric

logger = logging.getLogger(__name__)


@Metric.register("spigot_outside_trees")
class OutsideTrees(CountingMetric):
    """
    How many gold trees the structure of a parser does not admit: several roots where it has a single one, crossing
    arcs where it is projective. At the end of the first pass in which there are any, over training data and again over
    other data, a warning says how many, and which the first was.

    Registered as a `Metric` with name "spigot_outside_trees".

    # Parameters

    structure : `str`, optional (default = `"the structure"`)
        What the warning calls it.
    consequence : `str`, optional (default = `"they cannot be predicted"`)
        What becomes of such trees, for the warning.
    """

    def __init__(self, structure: str = "the structure", consequence: str = "they cannot be predicted") -> None:
        super().__init__(2)  # trees, those outside
        self._structure, self._consequence = structure, consequence
        self._warned: set[bool] = set()
        self._first: Optional[tuple[bool, str]] = None

    def reset(self) -> None:
        super().reset()
        self._first = None

    def __call__(  # type: ignore
        self, is_outside: torch.Tensor, metadata: Optional[Sequence[dict[str, Any]]] = None, training: bool = False
    ) -> None:
        """
        # Parameters

        is_outside : `torch.Tensor`
            `(batch,)` bool, for each gold tree.
        metadata : `Sequence[dict[str, Any]]`, optional (default = `None`)
            The readers', with the `sentence_id` and the `tokens` of each.
        training : `bool`, optional (default = `False`)
            Whether the trees are training data.
        """
        self.count(torch.ones_like(is_outside), is_outside)
        if self._first is None and is_outside.any():
            first = metadata[int(is_outside.int().argmax())] if metadata else {}
            self._first = training, first.get("sentence_id") or shorten(" ".join(first.get("tokens", [])), 40)

    def get_metric(self, reset: bool = False) -> dict[str, float]:
        """`trees_outside`, their number, where there are any."""
        first = self._first
        trees, outside = self.take_counts(reset)
        if reset and first is not None and first[0] not in self._warned:
            self._warned.add(first[0])
            logger.warning(
                "%d of %d gold trees in %s are none that %s admits, first that of the sentence %r: %s",
                outside,
                trees,
                "training" if first[0] else "evaluation",
                self._structure,
                first[1],
                self._consequence,
            )
        return {"trees_outside": outside} if outside else {}
