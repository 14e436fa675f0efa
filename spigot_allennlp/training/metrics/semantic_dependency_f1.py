import torch
from allennlp.training.metrics import Metric

from spigot_allennlp.training.metrics.counting_metric import CountingMetric

_KINDS = ("labelled", "unlabelled", "labelled_without_tops", "unlabelled_without_tops")


@Metric.register("spigot_semantic_dependency_f1")
class SemanticDependencyF1(CountingMetric):
    """
    Precision, recall and F1 of labelled and unlabelled arcs over a whole data set (micro averages), as in
    [SemEval 2015 Task 18](https://aclanthology.org/S15-2153/): a top counts as an arc from ROOT; figures without tops
    are given too. A figure whose denominator is 0 (nothing predicted, or no gold arc) is 0.

    In distributed training the figures are those of one process; see [`CountingMetric`](#countingmetric).

    Registered as a `Metric` with name "spigot_semantic_dependency_f1".
    """

    zero_of_nothing = True

    def __init__(self) -> None:
        # Sentences; of each kind, predicted, gold and correct arcs.
        super().__init__(1 + 3 * len(_KINDS))

    def __call__(self, predicted: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor) -> None:  # type: ignore
        """
        # Parameters

        predicted, gold : `torch.Tensor`
            `(batch, length, length)` int64, `[b, predicate, argument]`: the id of the arc's label, -1 where there is
            no arc. Position 0 is ROOT, its arguments are the tops.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        """
        predicted, gold, mask = self.detach_tensors(predicted, gold, mask)
        pairs = mask.unsqueeze(2) & mask.unsqueeze(1)
        is_predicted, is_gold = (predicted >= 0) & pairs, (gold >= 0) & pairs
        is_match = is_predicted & is_gold
        is_labelled_match = is_match & (predicted == gold)
        counts = [mask[:, 0]]
        for kind in _KINDS:
            correct = is_match if kind.startswith("unlabelled") else is_labelled_match
            first = 1 if kind.endswith("without_tops") else 0
            counts += [arcs[:, first:].flatten(1).sum(dim=1) for arcs in (is_predicted, is_gold, correct)]
        self.count(*counts)

    def shares(self, counts: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """
        `{kind}_precision`, `{kind}_recall` and `{kind}_f1`, for the kinds `labelled`, `unlabelled`,
        `labelled_without_tops` and `unlabelled_without_tops`. F1 counts every correct arc twice, once as predicted and
        once as gold.
        """
        _, *counts = counts.unbind(-1)
        shares = {}
        for i, kind in enumerate(_KINDS):
            predicted, gold, correct = counts[3 * i : 3 * i + 3]
            shares[f"{kind}_precision"] = (correct, predicted)
            shares[f"{kind}_recall"] = (correct, gold)
            shares[f"{kind}_f1"] = (2 * correct, predicted + gold)
        return shares
