import torch

from spigot_allennlp.training.metrics import Pruning


def test_figures():
    metric = Pruning()
    assert metric.get_metric(reset=True) == {}
    mask = torch.tensor([[True, True, True], [True, True, False]])
    kept, gold = (torch.zeros(2, 3, 3, dtype=torch.bool) for _ in range(2))
    kept[0, 1, 0] = kept[0, 1, 2] = kept[0, 2, 1] = kept[1, 1, 0] = True
    gold[0, 1, 2] = gold[0, 2, 0] = gold[1, 1, 0] = True
    metric(kept, mask, gold)
    assert metric.get_metric() == {"pruner_arcs": 4 / 3, "pruner_recall": 2 / 3}
    metric(kept[:1], mask[:1])  # without gold trees
    assert metric.get_metric(reset=True) == {"pruner_arcs": 7 / 5, "pruner_recall": 2 / 3}
    assert metric.get_metric() == {}
