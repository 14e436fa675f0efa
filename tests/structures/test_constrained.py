import itertools

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.structures import Structure
from spigot_allennlp.surrogates import Spigot, StructuredAttention
from tests import oracles


def at_most(count, cells=None, per=None):
    return {"type": "at_most", "count": count, "cells": cells, "per": per}


def at_least(count, cells=None, per=None):
    return {"type": "at_least", "count": count, "cells": cells, "per": per}


def constrained(structure: dict, *rules: dict) -> dict:
    return {"type": "constrained", "structure": structure, "rules": list(rules)}


def build(config: dict) -> Structure:
    return Structure.from_params(Params(config).duplicate())


# A structure, the shape of a sentence's scores and all its structures. The rules below break the best answer of most.
DESCRIBED = {
    "single_head": ({"type": "single_head"}, oracles.single_heads(4)),
    "nonprojective_tree": ({"type": "nonprojective_tree"}, oracles.nonprojective_trees(5)),
    "single_root": (
        {"type": "nonprojective_tree", "single_root": True},
        oracles.nonprojective_trees(5, True),
    ),
    "projective_tree": ({"type": "projective_tree"}, oracles.projective_trees(5)),
    "projective_single_root": (
        {"type": "projective_tree", "single_root": True},
        oracles.projective_trees(5, True),
    ),
    "semantic_graph": ({"type": "semantic_graph"}, oracles.graphs(3, 2)),
    "deterministic": (
        {"type": "semantic_graph", "deterministic_labels": [1]},
        oracles.graphs(3, 2, deterministic=(1,)),
    ),
    "linear_chain": ({"type": "linear_chain"}, oracles.label_sequences(4, 3)),
    "k_subset": ({"type": "k_subset", "k": 3}, oracles.k_subsets(6, 3)),
    "at_most_k": ({"type": "k_subset", "k": 3, "exactly": False}, oracles.subsets_up_to(6, 3)),
    "constituency_tree": ({"type": "constituency_tree"}, oracles.constituency_trees(4, 2)),
    "segmentation": ({"type": "segmentation"}, oracles.segmentations(4, 3, 2)),
    "monotone_alignment": ({"type": "monotone_alignment"}, oracles.monotone_alignments(4, 3)),
    "matching": ({"type": "matching"}, oracles.matchings(3, 3, True)),
    "matching_of_few": ({"type": "matching"}, oracles.matchings(3, 4, True)),
    "matching_of_any": ({"type": "matching", "complete": False}, oracles.matchings(3, 3, False)),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_what_a_structure_is_in_linear_rules(name):
    """The best structure without some cell and with another one, whatever structure it is."""
    config, structures = DESCRIBED[name]
    generator = torch.Generator().manual_seed(0)
    used = structures.amax(0).nonzero()
    for _ in range(12):
        scores = torch.randn(structures.shape[1:], generator=generator, dtype=torch.double)
        free = oracles.best_structures(structures, scores.unsqueeze(0))[0]
        off, on = used[torch.randperm(len(used), generator=generator)[:2]]
        off = free.nonzero()[0] if free.any() else off
        obeys = (structures[(slice(None), *off)] == 0) & (structures[(slice(None), *on)] == 1)
        rules = {"type": "forbidden", "cells": [off.tolist()]}, {"type": "required", "cells": [on.tolist()]}
        structure = build(constrained(config, *rules))
        mask = torch.ones(1, len(scores), dtype=torch.bool)
        if obeys.any():
            rest = structures[obeys]
            expected = oracles.best_structures(rest, scores.unsqueeze(0))[0]
            assert torch.equal(structure.argmax(scores.unsqueeze(0), mask)[0], expected)
        else:
            with pytest.raises(ValueError, match="sentence 0 has no legal structure"):
                structure.argmax(scores.unsqueeze(0), mask)


def test_predicates_are_on_where_rules_want_their_arcs():
    scores = -torch.rand(1, 4, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    mask = torch.ones(1, 4, dtype=torch.bool)
    structure = build(constrained({"type": "semantic_graph", "predicates": True}, at_least(2, [1, None, 1])))
    z = structure.argmax(scores, mask)[0]
    assert z[1, 0, 0] == 1 and z[1, 1:, 1].sum() == 2 and z.sum() == 3


@pytest.mark.parametrize(("name", "length"), [("nonprojective_tree", 30), ("projective_tree", 30)])
def test_long_sentences(name, length):
    """Trees that obey the rules, and no worse than any tree that is near by and obeys them."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(3, length, length, generator=generator, dtype=torch.double)
    mask = torch.arange(length) < torch.tensor([[length], [length - 5], [length]])
    config = {"type": name, "single_root": True}
    structure = build(constrained(config, at_most(2, per=[1]), {"type": "forbidden", "cells": [[3, 2]]}))
    trees, free = structure.argmax(scores, mask), build(config).argmax(scores, mask)
    for b, z in enumerate(trees):
        heads = (0, *z[1:].argmax(1).tolist()[: int(mask[b].sum()) - 1])
        assert oracles.is_tree(heads) and heads.count(0) == 2
        assert name == "nonprojective_tree" or oracles.is_projective(heads)
        assert z.sum(0).max() <= 2 and z[3, 2] == 0
        if obeys := free[b].sum(0).max() <= 2 and free[b, 3, 2] == 0:
            assert torch.equal(z, free[b])
        assert obeys or (z * scores[b]).sum() < (free[b] * scores[b]).sum()
        for token, head in itertools.product(range(1, len(heads)), range(len(heads))):
            moved = (*heads[:token], head, *heads[token + 1 :])
            if token != head and oracles.is_tree(moved) and moved.count(0) == 2:
                is_legal = max(map(moved.count, moved[1:])) <= 2 and moved[3] != 2
                if is_legal and (name == "nonprojective_tree" or oracles.is_projective(moved)):
                    assert scores[b, token, head] <= scores[b, token, heads[token]] + 1e-9


@pytest.mark.parametrize("scale", [1e-6, 1, 1e6])
def test_the_scale_of_scores_does_not_matter(scale):
    structure = build(constrained({"type": "nonprojective_tree"}, at_most(1, per=[1])))
    scores = torch.randn(5, 9, 9, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    mask = torch.ones(5, 9, dtype=torch.bool)
    assert torch.equal(structure.argmax(scale * scores, mask), structure.argmax(scores, mask))


def test_masks_of_pairs_and_rules_of_cells_that_are_not_there():
    structure = build(
        constrained(
            {"type": "monotone_alignment"}, {"type": "required", "cells": [[1, 0], [5, 5]]}, at_most(1, per=[0])
        )
    )
    scores = torch.zeros(2, 4, 5, dtype=torch.double)
    scores[:, 0, 1] = 1
    mask = torch.ones(2, 4, 5, dtype=torch.bool)
    mask[1, 3] = mask[1, :, 2:] = False
    with pytest.raises(ValueError, match="sentence 0 has no legal structure"):
        structure.argmax(scores, mask)
    z = structure.argmax(scores[1:], mask[1:])[0]
    assert z.nonzero().tolist() == [[0, 0], [1, 0], [2, 1]]


def test_projections_agree_with_least_distances():
    config, structures = DESCRIBED["linear_chain"]
    structure = build(constrained(config, at_most(1, [None, None, 2])))
    rest = structures[structures[..., 2].sum((1, 2)) <= 1]
    points = torch.randn(4, *rest.shape[1:], generator=torch.Generator().manual_seed(0), dtype=torch.double)
    projections = structure.project(points, torch.ones(4, 4, dtype=torch.bool))
    for x, y in zip(projections, points, strict=True):
        torch.testing.assert_close(x, oracles.nearest_in_hull(rest, y), rtol=0, atol=1e-6)


def test_gradients_pass():
    structure = build(constrained({"type": "nonprojective_tree", "single_root": True}, at_most(2, per=[1])))
    scores = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    z = Spigot(structure)(scores, torch.ones(2, 8, dtype=torch.bool))
    (z * torch.randn(z.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
    assert scores.grad.isfinite().all() and scores.grad.any()


def test_what_cannot_be_is_refused_when_built():
    structure = build(constrained({"type": "nonprojective_tree"}))
    assert structure.cells == "heads"
    with pytest.raises(ConfigurationError, match="structured_attention needs marginals, and constrained has none"):
        StructuredAttention(structure)

    class Anything(Structure):
        def argmax(self, scores, mask):
            return torch.zeros_like(scores)

    from spigot_allennlp.structures import Constrained

    with pytest.raises(ConfigurationError, match="constrained needs linear_rules, and Anything has none"):
        Constrained(Anything(), [])
    with pytest.raises(ConfigurationError, match="count must not be negative, but is -1"):
        build(constrained({"type": "single_head"}, at_most(-1)))


@pytest.mark.parametrize("rule", [at_most(1, [0]), at_most(1, None, [2]), {"type": "forbidden", "cells": [[0, 0, 0]]}])
def test_rules_for_other_axes_are_refused(rule):
    structure = build(constrained({"type": "single_head"}, rule))
    with pytest.raises(ValueError, match="expected"):
        structure.argmax(torch.zeros(1, 3, 3), torch.ones(1, 3, dtype=torch.bool))


def test_constraints_within_constraints():
    inner = constrained({"type": "k_subset", "k": 3}, {"type": "forbidden", "cells": [[0]]})
    structure = build(constrained(inner, {"type": "required", "cells": [[5]]}))
    scores = torch.tensor([[9.0, 1, 2, 3, 4, 0]])
    assert structure.argmax(scores, torch.ones(1, 6, dtype=torch.bool)).tolist() == [[0, 0, 0, 1, 1, 1]]
