"""
The functions of other libraries that `benchmarks.decoders` and `benchmarks.distributions` compare with.

Those that can be imported are compared with. allennlp and networkx are there anyway; entmax, ufal.chu-liu-edmonds,
supar (with stanza) and torch-struct are packages to install, the last two without what they depend on. synjax is a
package or, where the registry has none, the folder of that name in its repository, with jax, equinox, jaxtyping < 0.3,
typeguard < 3 and dm-haiku beside it. lp-sparsemap has to be built from its source with the headers of Eigen
(`EIGEN_DIR`), Cython < 3, setuptools < 70 and `#include <tuple>` in `FactorTreeTurbo.h`.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
import torch

from spigot_allennlp.nn.arcs import arc_mask

Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
NOWHERE = -1e9
NUM_LABELS = 58
# How many samples, and how many of the best structures.
MANY = 10


class Peer(NamedTuple):
    """`build(module)` returns a function like ours, of scores and mask, once `module` has been imported."""

    name: str
    module: str
    build: Callable[[Any], Function]
    #: whether the first call for each length, which compiles, is left out
    compiles: bool = False


def trees_from_heads(heads: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """One-hot trees, `(batch, length, length)`, from head indices `(batch, length)`."""
    z = torch.zeros_like(scores).scatter_(2, heads.unsqueeze(2), 1)
    z[:, 0] = 0
    return z


def legal_scores(scores: torch.Tensor) -> torch.Tensor:
    """A copy without arcs into ROOT or from a token to itself, for peers that want to be told."""
    scores = scores.clone()
    scores[:, 0, 1:] = NOWHERE
    scores.diagonal(0, 1, 2)[:, 1:] = NOWHERE
    return scores


def ufal(module: Any) -> Function:
    def decode(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        heads = [module.chu_liu_edmonds(sentence)[0] for sentence in scores.double().numpy()]
        return trees_from_heads(torch.tensor(heads).clamp(min=0), scores)

    return decode


def allennlp(module: Any) -> Function:
    def decode(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # It wants [head, modifier], and writes into its argument.
        energies = legal_scores(scores).transpose(1, 2).contiguous().numpy()
        heads = [module.decode_mst(energy, len(energy), has_labels=False)[0] for energy in energies]
        return trees_from_heads(torch.tensor(heads).clamp(min=0), scores)

    return decode


def digraph(module: Any, sentence: list[list[float]]) -> Any:
    graph = module.DiGraph()
    for modifier in range(1, len(sentence)):
        for head in range(len(sentence)):
            if head != modifier:
                graph.add_edge(head, modifier, weight=sentence[modifier][head])
    return graph


def networkx(module: Any) -> Function:
    def decode(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        heads = torch.zeros(scores.shape[:2], dtype=torch.long)
        for i, sentence in enumerate(scores.tolist()):
            for head, modifier in module.maximum_spanning_arborescence(digraph(module, sentence)).edges:
                heads[i, modifier] = head
        return trees_from_heads(heads, scores)

    return decode


def supar_nonprojective(multiroot: bool) -> Callable[[Any], Function]:
    def build(module: Any) -> Function:
        def decode(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            tokens = mask.clone()
            tokens[:, 0] = False
            return trees_from_heads(module.fn.mst(legal_scores(scores), tokens, multiroot), scores)

        return decode

    return build


def supar_crf(crf: str, attribute: str, multiroot: bool) -> Callable[[Any], Function]:
    def build(module: Any) -> Function:
        def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            result = getattr(getattr(module, crf)(scores.clone(), multiroot=multiroot), attribute)
            return trees_from_heads(result, scores) if attribute == "argmax" else result

        return run

    return build


def inverse_laplacian(module: Any) -> Function:
    def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        weight = scores.double().exp() * arc_mask(mask)
        laplacian = torch.diag_embed(weight.sum(2)) - weight
        inverse = torch.linalg.inv(laplacian[:, 1:, 1:])
        slope = torch.zeros_like(weight)
        slope[:, 1:] = inverse.diagonal(0, 1, 2).unsqueeze(2)
        slope[:, 1:, 1:] -= inverse.transpose(1, 2)
        return (weight * slope).to(scores.dtype)

    return run


def sort_in_torch(module: Any) -> Function:
    def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        values = scores.masked_fill(~arc_mask(mask), NOWHERE)
        descending = values.sort(dim=2, descending=True).values
        surplus = descending.cumsum(2) - 1
        rank = torch.arange(1, values.size(2) + 1, device=values.device)
        size = (descending * rank > surplus).sum(2, keepdim=True).clamp(min=1)
        projection = (values - surplus.gather(2, size - 1) / size).clamp(min=0)
        projection[:, 0] = 0
        return projection

    return run


def entmax(module: Any) -> Function:
    def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        projection = module.sparsemax(scores.masked_fill(~arc_mask(mask), NOWHERE), dim=2)
        projection[:, 0] = 0
        return projection

    return run


def label_assignment(module: Any) -> Function:
    """Predicate by predicate: arguments against labels, and as many ways to have no arc as there are arguments."""

    def decode(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        labels = torch.zeros_like(scores)
        off = numpy.zeros((scores.size(1), scores.size(1)))
        for b, sentence in enumerate(scores.numpy()):
            for predicate, values in enumerate(sentence):
                values = values.copy()
                values[predicate] = values[0] = -1
                arguments, chosen = module.linear_sum_assignment(numpy.concatenate([values, off], 1), maximize=True)
                for argument, label in zip(arguments, chosen, strict=True):
                    if label < NUM_LABELS and values[argument, label] > 0:
                        labels[b, predicate, argument, label] = 1
        return labels

    return decode


def max_in_torch(module: Any) -> Function:
    def decode(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        best, label = scores.max(dim=3, keepdim=True)
        on = (best > 0) & arc_mask(mask).transpose(1, 2).unsqueeze(3)
        return torch.zeros_like(scores).scatter_(3, label, on.to(scores.dtype))

    return decode


def networkx_best(module: Any) -> Function:
    """The scores of the best trees."""

    def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        totals = []
        for sentence in scores.tolist():
            ranked = module.ArborescenceIterator(digraph(module, sentence), minimum=False)
            totals.append([tree.size(weight="weight") for tree in itertools.islice(ranked, MANY)])
        return torch.tensor(totals).t()

    return run


def supar_many(operation: str) -> Callable[[Any], Function]:
    """`MANY` samples of projective trees, one by one, or the scores of as many best ones."""

    def build(module: Any) -> Function:
        def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            crf = module.DependencyCRF(scores.clone(), multiroot=True)
            if operation == "sample":
                return torch.stack([crf.sample() for _ in range(MANY)])
            totals = crf.kmax(MANY).detach()
            return totals if len(totals) == MANY else totals.t()

        return run

    return build


def torch_struct_trees(crf: str, attribute: str, multiroot: bool = True) -> Callable[[Any], Function]:
    """`crf` is "NonProjectiveDependencyCRF" or "DependencyCRF"; the attribute as in [`ask`](#ask)."""

    def build(module: Any) -> Function:
        def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            # It wants [head, modifier], without ROOT, whose arcs are on the diagonal.
            potentials = scores[:, 1:, 1:].transpose(1, 2).contiguous()
            potentials.diagonal(0, 1, 2).copy_(scores[:, 1:, 0])
            # It writes into a copy of a leaf that wants a gradient, unless it comes with one.
            potentials = potentials.requires_grad_() + 0
            found = ask(getattr(module, crf)(potentials, multiroot=multiroot), attribute)
            if attribute not in ("sample", "argmax", "marginals"):
                return found
            trees = scores.new_zeros((*found.shape[:-2], *scores.shape[1:]))
            off_diagonal = ~torch.eye(found.size(-1), dtype=torch.bool, device=found.device)
            trees[..., 1:, 1:] = found.transpose(-1, -2) * off_diagonal
            trees[..., 1:, 0] = found.diagonal(0, -2, -1)
            return trees

        return run

    return build


def torch_struct_chain(attribute: str) -> Callable[[Any], Function]:
    def build(module: Any) -> Function:
        def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            # It wants [current, previous], and no cell for the first token alone.
            potentials = scores[:, 1:].transpose(2, 3).contiguous()
            potentials[:, 0] += scores[:, 0, 0].unsqueeze(1)
            found = ask(module.LinearChainCRF(potentials), attribute)
            if attribute != "sample":
                return found
            chains = scores.new_zeros((MANY, *scores.shape))
            chains[:, :, 1:] = found.transpose(3, 4)
            chains[:, :, 0, 0] = found[:, :, 0].sum(2)
            return chains

        return run

    return build


def ask(crf: Any, attribute: str) -> torch.Tensor:
    """What a distribution of torch-struct has under this name: `MANY` samples or best scores, or one of a kind."""
    if attribute == "sample":
        return crf.sample((MANY,))
    if attribute == "kmax":
        return crf.kmax(MANY)
    return getattr(crf, attribute)


def synjax_trees(attribute: str, projective: bool, single_root: bool) -> Callable[[Any], Function]:
    """Compiled at the first call, which is not timed."""

    def build(module: Any) -> Function:
        # Otherwise arcs count as e^-10 times as likely as the best one at least.
        module.set_config(mtt_min_log_potential=-1e5)

        def distribution(potentials: Any) -> Any:
            kinds = {"directed": True, "projective": projective, "single_root_edge": single_root}
            return module.SpanningTreeCRF(potentials, **kinds)

        compiled = _compiled(distribution, attribute)
        # It wants [head, modifier].
        return lambda scores, mask: _from_jax(compiled(scores.transpose(1, 2).numpy()), attribute, transposed=True)

    return build


def synjax_chain(attribute: str) -> Callable[[Any], Function]:
    def build(module: Any) -> Function:
        compiled = _compiled(module.LinearChainCRF, attribute)
        return lambda scores, mask: _from_jax(compiled(scores.numpy()), attribute, transposed=False)

    return build


def _compiled(distribution: Callable[[Any], Any], attribute: str) -> Callable[[Any], Any]:
    import jax

    def run(potentials: Any) -> Any:
        found = distribution(potentials)
        if attribute == "sample":
            return found.sample(jax.random.PRNGKey(0), MANY)
        return found.top_k(MANY)[1] if attribute == "top_k" else getattr(found, attribute)()

    return jax.jit(run)


def _from_jax(found: Any, attribute: str, transposed: bool) -> torch.Tensor:
    result = torch.from_numpy(numpy.array(found))
    are_trees = transposed and attribute in ("argmax", "marginals", "sample")
    return result.transpose(-1, -2) if are_trees else result


def lp_sparsemap(projective: bool) -> Callable[[Any], Function]:
    """Its active set, which is to stop by itself."""

    def build(module: Any) -> Function:
        def run(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            # It wants trees without ROOT, whose arcs are on the diagonal.
            potentials = scores[:, 1:, 1:].double().contiguous()
            potentials.diagonal(0, 1, 2).copy_(scores[:, 1:, 0])
            projection = torch.zeros_like(scores)
            for sentence, point in enumerate(potentials):
                graph = module.TorchFactorGraph()
                arcs = graph.variable_from(point)
                graph.add(module.DepTree(arcs, packed=True, projective=projective))
                graph.solve(max_iter=1, max_inner_iter=10_000, step_size=0.0)
                projection[sentence, 1:, 1:] = arcs.value.to(scores.dtype).fill_diagonal_(0)
                projection[sentence, 1:, 0] = arcs.value.diagonal().to(scores.dtype)
            return projection

        return run

    return build
