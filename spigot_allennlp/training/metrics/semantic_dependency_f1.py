import torch
from allennlp.nn.util import dist_reduce_sum
from allennlp.training.metrics import Metric

_KINDS = ("labelled", "unlabelled", "labelled_without_tops", "unlabelled_without_tops")


@Metric.register("spigot_semantic_dependency_f1")
class SemanticDependencyF1(Metric):
    """
    Precision, recall and F1 of labelled and unlabelled arcs over a whole data set (micro averages), as in
    [SemEval 2015 Task 18](https://aclanthology.org/S15-2153/): a top counts as an arc from ROOT; figures without tops
    are given too. A figure whose denominator is 0 (nothing predicted, or no gold arc) is 0.

    Only sums are exchanged between workers, so that distributed figures are those of one process.

    Registered as a `Metric` with name "spigot_semantic_dependency_f1".
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # Rows: kinds. Columns: predicted, gold and correct arcs.
        self._counts = torch.zeros(len(_KINDS), 3, dtype=torch.long)
        self._has_graphs = False

    def __call__(self, predicted: torch.Tensor, gold: torch.Tensor, mask: torch.Tensor) -> None:  # type: ignore
        """
        # Parameters

        predicted, gold : `torch.Tensor`
            `(batch, length, length)` int64, `[b, predicate, argument]`: the id of the arc's label, -1 where there is
            no arc. Position 0 is ROOT, its arguments are the tops.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and real tokens.
        """
        self._has_graphs = True
        predicted, gold, mask = self.detach_tensors(predicted, gold, mask)
        pairs = mask.unsqueeze(2) & mask.unsqueeze(1)
        is_predicted, is_gold = (predicted >= 0) & pairs, (gold >= 0) & pairs
        is_match = is_predicted & is_gold
        is_labelled_match = is_match & (predicted == gold)
        counts = []
        for kind in _KINDS:
            correct = is_match if kind.startswith("unlabelled") else is_labelled_match
            first = 1 if kind.endswith("without_tops") else 0
            counts += [arcs[:, first:].sum() for arcs in (is_predicted, is_gold, correct)]
        self._counts += dist_reduce_sum(torch.stack(counts)).cpu().view(-1, 3)

    def get_metric(self, reset: bool = False) -> dict[str, float]:
        """
        # Returns

        `Dict[str, float]`
            `{kind}_precision`, `{kind}_recall` and `{kind}_f1` in [0, 1], for the kinds `labelled`, `unlabelled`,
            `labelled_without_tops` and `unlabelled_without_tops`. Nothing before any graph was seen.
        """
        if not self._has_graphs:
            return {}
        metrics = {}
        for kind, (predicted, gold, correct) in zip(_KINDS, self._counts.tolist(), strict=True):
            metrics[f"{kind}_precision"] = correct / max(predicted, 1)
            metrics[f"{kind}_recall"] = correct / max(gold, 1)
            metrics[f"{kind}_f1"] = 2 * correct / max(predicted + gold, 1)
        if reset:
            self.reset()
        return metrics
