"""The structures between the stages of a pipeline, for sentences that are asked about again and again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from allennlp.data import Batch, Instance
from allennlp.models import Model
from allennlp.nn.util import get_device_of, move_to_device
from torch.nn.functional import cosine_similarity

from spigot_allennlp.framework.distributed import metrics_of
from spigot_allennlp.framework.max_tokens_sampler import MaxTokensSampler
from spigot_allennlp.framework.recover import get_random_state, set_random_state
from spigot_allennlp.modules import TreeLoss
from spigot_allennlp.surrogates import StructuredArgmax

Cells = frozenset[tuple[int, ...]]
# The field that has the gold structures of `Structure.cells`.
_GOLD_FIELDS = {"heads": "tree", "labelled arcs": "graph"}


class Latent(NamedTuple):
    """
    What stands between the stages for one sentence.

    num_tokens : `int`
        Positions that have parts of a structure, ROOT left out.
    cells : `frozenset[tuple[int, ...]]`
        The cells of the structure that was chosen: `(modifier, head)`, or `(predicate, argument, label)`.
    gold : `frozenset[tuple[int, ...]]`, optional
        Those of the gold structure, if there is one.
    entropy : `float`, optional
        Of the first stage's distribution over structures, in nats, if the structure has sums.
    cosine : `float`, optional
        Between the gradients on the first stage's scores: what stands for that of the second stage's loss, and that of
        the first stage's own loss, if there are gold trees and something comes back.
    """

    num_tokens: int
    cells: Cells
    gold: Cells | None
    entropy: float | None
    cosine: float | None


def find_layer(model: torch.nn.Module) -> StructuredArgmax | None:
    """The outermost `StructuredArgmax` of a model."""
    return next((module for module in model.modules() if isinstance(module, StructuredArgmax)), None)


def read_latent(model: Model, instances: Sequence[Instance], max_tokens: int = 576) -> list[Latent]:
    """
    The structures that stand between the stages. The model is as in evaluation meanwhile, and afterwards as it was:
    neither gradients, nor metrics of a pass that is under way elsewhere, nor random numbers are touched. (Metrics are
    reset: ask between passes.)

    # Parameters

    model : `Model`
        One with a `StructuredArgmax`.
    instances : `Sequence[Instance]`
        Indexed, of one kind: with the same fields.
    max_tokens : `int`, optional (default = `576`)
        How many a batch has, ROOT and padding included. A longer sentence goes alone.
    """
    sampler = MaxTokensSampler(max_tokens, sorting_keys=["tokens"], padding_noise=0.0)
    found: dict[int, Latent] = {}
    with _undisturbed(model):
        for batch in sampler.get_batch_indices(instances):
            found.update(zip(batch, _read_batch(model, [instances[i] for i in batch]), strict=True))
    return [found[i] for i in range(len(instances))]


def figures(
    now: Sequence[Latent], before: Sequence[Cells] | None, at_start: Sequence[Cells] | None
) -> dict[str, float]:
    """
    # Parameters

    now : `Sequence[Latent]`
    before, at_start : `Sequence[frozenset[tuple[int, ...]]]`, optional
        What was chosen for the same sentences at the end of the last epoch, and before training.

    # Returns

    `dict[str, float]`
        `arcs_changed` and `arcs_changed_since_start`: the share of parts that are others now (of trees, the share of
        tokens with another head; of structures of any size, 1 less the F1 of one against the other). `gold_agreement`:
        the F1 with gold structures, which is the UAS of trees. `entropy`: in nats a token. `tree_cosine`: the mean over
        sentences. What there is nothing for is left out.
    """
    found = {}
    cells = [latent.cells for latent in now]
    for name, others in (("arcs_changed", before), ("arcs_changed_since_start", at_start)):
        if others is not None:
            found[name] = 1 - agreement(cells, others)
    with_gold = [latent for latent in now if latent.gold is not None]
    if with_gold:
        found["gold_agreement"] = agreement(
            [latent.cells for latent in with_gold], [latent.gold for latent in with_gold]
        )
    entropies = [latent.entropy for latent in now if latent.entropy is not None]
    if entropies:
        found["entropy"] = sum(entropies) / max(1, sum(latent.num_tokens for latent in now))
    cosines = [latent.cosine for latent in now if latent.cosine is not None]
    if cosines:
        found["tree_cosine"] = sum(cosines) / len(cosines)
    return found


def agreement(some: Sequence[Cells], others: Sequence[Cells]) -> float:
    """The F1 of the parts of some structures against those of others, over all sentences; 1 if there are none."""
    total = sum(map(len, some)) + sum(map(len, others))
    common = sum(len(one & other) for one, other in zip(some, others, strict=True))
    return 2 * common / total if total else 1.0


def _read_batch(model: Model, instances: Sequence[Instance]) -> list[Latent]:
    layer, seen = find_layer(model), []
    batch = Batch(instances)
    batch.index_instances(model.vocab)
    tensors = move_to_device(batch.as_tensor_dict(), get_device_of(next(model.parameters())))
    observer, layer.observer = layer.observer, lambda *pass_: seen.append(pass_)
    try:
        with torch.enable_grad():
            loss = model(**tensors).get("loss")
    finally:
        layer.observer = observer
    ((scores, mask, z),) = seen
    structure = layer.structure
    values, size = scores.detach(), len(instances)
    chosen = layer.chosen(scores, mask, z) > 0.5
    if structure.cells == "labelled arcs":
        chosen[:, :, 0] = False  # what is said of predicates, which gold graphs do not have
    chosen = _cells(chosen)
    gold = _gold(tensors.get(_GOLD_FIELDS.get(structure.cells)), structure.cells)
    entropy = structure.entropy(values, mask).tolist() if "entropy" in structure.operations() else [None] * size
    cosine = [None] * size
    if gold is not None and structure.cells == "heads" and loss is not None and z.requires_grad:
        cosine = _cosines(model, scores, mask, loss, tensors["tree"] >= 0)
    num_tokens = (mask.sum(1) - 1).clamp(min=0).tolist()
    return list(map(Latent, num_tokens, chosen, gold or [None] * size, entropy, cosine))


def _gold(field: torch.Tensor | None, cells: str) -> list[Cells] | None:
    if field is None:
        return None
    if cells == "heads":
        return _cells(field >= 0)
    found = [[] for _ in field]
    for sentence, *cell in (field >= 0).nonzero().tolist():
        found[sentence].append((*cell, int(field[(sentence, *cell)])))
    return list(map(frozenset, found))


def _cells(z: torch.Tensor) -> list[Cells]:
    return [frozenset(map(tuple, sentence.nonzero().tolist())) for sentence in z]


def _cosines(
    model: Model, scores: torch.Tensor, mask: torch.Tensor, loss: torch.Tensor, gold: torch.Tensor
) -> list[float | None]:
    tree_loss = next((module for module in model.modules() if isinstance(module, TreeLoss)), None)
    (surrogate,) = torch.autograd.grad(loss, scores, allow_unused=True)
    if tree_loss is None or surrogate is None:
        return [None] * len(scores)
    own = scores.detach().requires_grad_()
    with torch.enable_grad():
        total = tree_loss(own, gold.to(own), mask, find_layer(model).structure).sum()
    (own,) = torch.autograd.grad(total, own)
    surrogate, own = surrogate.double().flatten(1), own.double().flatten(1)
    cosines = cosine_similarity(surrogate, own, dim=1, eps=1e-30)
    is_there = (surrogate.norm(dim=1) > 0) & (own.norm(dim=1) > 0)
    return [cosine if there else None for cosine, there in zip(cosines.tolist(), is_there.tolist(), strict=True)]


@contextmanager
def _undisturbed(model: Model) -> Iterator[None]:
    device = next(model.parameters()).device
    state, modes = get_random_state(device), {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for metric in metrics_of(model):
            metric.reset()
        set_random_state(state, device)
