"""What stands between the stages, asked of a model and compared."""

import copy

import pytest
import torch
from allennlp.common import Params
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch
from torch.nn.functional import cosine_similarity

from spigot_allennlp.surrogates import StructuredArgmax
from spigot_allennlp.training.latent import Latent, agreement, figures, read_latent
from tests import FIXTURES_ROOT

CONFIG = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"


def cells(*parts: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
    return frozenset(parts)


def test_figures_are_of_all_sentences_together() -> None:
    now = [
        Latent(2, cells((1, 0), (2, 1)), cells((1, 0), (2, 1)), 1.0, 0.5),
        Latent(1, cells((1, 0)), None, 0.5, None),
    ]
    before, at_start = [cells((1, 2), (2, 0)), cells((1, 0))], [cells((1, 0), (2, 0)), cells((1, 0))]
    assert figures(now, before, at_start) == pytest.approx(
        {
            "arcs_changed": 2 / 3,
            "arcs_changed_since_start": 1 / 3,
            "gold_agreement": 1.0,
            "entropy": 0.5,
            "tree_cosine": 0.5,
        }
    )
    assert figures([Latent(0, cells(), None, None, None)], None, None) == {}


def test_agreement_of_structures_of_unlike_size_is_their_f1() -> None:
    assert agreement([cells((1, 2, 0))], [cells((1, 2, 0), (1, 3, 1))]) == pytest.approx(2 / 3)
    assert agreement([cells()], [cells()]) == 1


class TestReadLatent(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        self.set_up_model(CONFIG, FIXTURES_ROOT / "toy" / "toy.sdp", seed=1)
        # A sentence of one token has nothing to choose.
        self.instances = [instance for instance in self.instances if len(instance["metadata"]["tokens"]) > 1]
        self.tensors = Batch(self.instances).as_tensor_dict()

    def test_it_reads_what_the_model_chooses(self):
        found = read_latent(self.model, self.instances, max_tokens=30)
        self.model.eval()
        outputs = self.model.forward_on_instances(self.instances)
        for one, output, instance in zip(found, outputs, self.instances, strict=True):
            assert one.cells == frozenset(enumerate(output["heads"], start=1))
            assert one.gold == frozenset(map(tuple, instance["tree"].indices))
            assert one.num_tokens == len(output["heads"])
            assert one.entropy == pytest.approx(0, abs=1e-6) if one.num_tokens == 1 else one.entropy > 0.01
        uas = agreement([one.cells for one in found], [one.gold for one in found])
        self.model.get_metrics(reset=True)
        self.model(**self.tensors)
        assert uas == pytest.approx(self.model.get_metrics()["uas"])

    def test_the_cosine_is_between_the_two_gradients(self):
        self.model.eval()
        (one,) = read_latent(self.model, self.instances[:1])
        tensors = Batch(self.instances[:1]).as_tensor_dict()
        found = {}
        for name in ("tree", "graph"):
            seen = []
            hook = self.model.syntactic_parser.arc_scorer.register_forward_hook(
                lambda module, inputs, scores, seen=seen: (scores.retain_grad(), seen.append(scores))[0]
            )
            self.model(**{key: value for key, value in tensors.items() if key not in {"tree", "graph"} - {name}})[
                "loss"
            ].backward()
            hook.remove()
            found[name] = seen[0].grad.flatten()
        expected = cosine_similarity(found["tree"], found["graph"], dim=0)
        assert one.cosine == pytest.approx(float(expected), abs=1e-5) and one.cosine != 0

    @pytest.mark.parametrize("method", ["pipeline", "structured_attention", "straight_through"])
    def test_nothing_is_left_behind(self, method):
        params = Params({"type": method, "structure": {"type": "nonprojective_tree", "single_root": True}})
        self.model.intermediate = StructuredArgmax.from_params(params)
        self.model.train()
        self.model.semantic_parser.eval()  # as a model that freezes a stage does
        before, random_state = copy.deepcopy(self.model.state_dict()), torch.get_rng_state()
        found = read_latent(self.model, self.instances)
        assert (found[0].cosine is None) == (method == "pipeline")
        assert torch.equal(torch.get_rng_state(), random_state)
        after = self.model.state_dict()
        assert all(torch.equal(after[name], before[name]) for name in before)
        assert all(parameter.grad is None for parameter in self.model.parameters())
        assert self.model.training and not self.model.semantic_parser.encoder.training
        assert self.model.get_metrics() == {} and self.model.intermediate.observer is None
