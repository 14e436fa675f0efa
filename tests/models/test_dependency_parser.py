import copy
import json

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch
from allennlp.models import Model

from spigot_allennlp.data.dataset_readers import ConlluReader
from spigot_allennlp.structures import NonprojectiveTree, Structure
from tests import FIXTURES_ROOT

CONFIG = FIXTURES_ROOT / "dependency_parser.jsonnet"
TOY = FIXTURES_ROOT / "toy" / "toy.conllu"


class MyTree(Structure):
    """A user's own: it says that its cells are heads, and writes an argmax."""

    cells = "heads"

    def argmax(self, scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return NonprojectiveTree(single_root=True).argmax(scores, mask)


@pytest.fixture
def my_tree():
    """The name by which configs know it."""
    Structure.register("my_tree")(MyTree)
    yield "my_tree"
    del Structure._registry[Structure]["my_tree"]


class TestDependencyParser(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        self.set_up_model(CONFIG, TOY, seed=1)
        self.tensors = self.dataset.as_tensor_dict()

    @pytest.mark.parametrize("loss", ["hinge", "head_selection", "tree_crf", "softmax_margin"])
    def test_trains_saves_and_loads(self, loss):
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=json.dumps({"model.loss": loss}), seed=1)

    def test_biaffine_scorer_trains_saves_and_loads(self):
        overrides = json.dumps({"model.arc_scorer": {"type": "biaffine", "hidden_dim": 3}})
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=overrides, seed=1)

    def pruned(self, **settings):
        """A parser whose pruner, with weights at random, takes most arcs away."""
        params = Params.from_file(str(CONFIG))["model"].as_dict()
        pruner = {"parser": {**copy.deepcopy(params), "loss": "tree_crf"}, "max_heads": 1, **settings}
        return {**params, "pruner": pruner}

    def build_pruned(self):
        torch.manual_seed(0)
        return Model.from_params(vocab=self.vocab, params=Params(self.pruned()))

    @pytest.mark.parametrize("loss", ["hinge", "softmax_margin", "head_selection"])
    def test_a_pruned_parser_trains_saves_and_loads(self, loss):
        overrides = json.dumps({"model": {**self.pruned(), "loss": loss}})
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=overrides, seed=1)

    def test_a_pruner_takes_arcs_away_but_gold_ones_in_evaluation_alone(self):
        model = self.build_pruned()
        kept = model.pruner(self.tensors["tokens"])
        gold = self.tensors["tree"] >= 0
        assert (gold & ~kept).any() and (gold & kept).any()
        for training, expected in ((True, kept | gold), (False, kept)):
            model.train(training)
            encoded, mask = model.encode(self.tensors["tokens"])
            scores = model.prune(model.score(encoded), self.tensors["tokens"], mask, self.tensors["tree"])
            assert torch.equal(scores > -torch.inf, expected)
            output = model(**self.tensors)
            assert output["loss"].isfinite()
            tokens = mask.clone()
            tokens[:, 0] = False
            assert expected.gather(2, output["heads"].unsqueeze(2)).squeeze(2)[tokens].all()

    def test_a_pruner_of_other_trees_is_refused(self):
        """It leaves arcs of one of its own trees, which need not be one of the parser's."""
        params = {**self.pruned(), "structure": {"type": "projective_tree"}}
        with pytest.raises(
            ConfigurationError, match=r"expected the pruner's parser to have the structure .*projective"
        ):
            Model.from_params(vocab=self.vocab, params=Params(params))

    def test_the_figures_of_a_pruner(self):
        model = self.build_pruned()
        kept, gold = model.pruner(self.tensors["tokens"]), self.tensors["tree"] >= 0
        model(**self.tensors)
        metrics = model.get_metrics(reset=True)
        assert metrics["pruner_recall"] == pytest.approx(((kept & gold).sum() / gold.sum()).item())
        assert 1 <= metrics["pruner_arcs"] <= 2
        self.model(**self.tensors)
        assert "pruner_arcs" not in self.model.get_metrics()

    def test_a_pruner_stays_as_it_was_trained(self):
        model = self.build_pruned().train()
        before = {name: weight.clone() for name, weight in model.pruner.state_dict().items()}
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
        model(**self.tensors)["loss"].backward()
        optimizer.step()
        assert all(torch.equal(weight, before[name]) for name, weight in model.pruner.state_dict().items())
        assert not model.pruner.parser.training and model.encoder.training

    def test_batches_are_consistent(self):
        self.ensure_batch_predictions_are_consistent()

    def test_output(self):
        output = self.model(**self.tensors)
        assert output.keys() == {"heads", "head_tags", "mask", "loss"}
        readable = self.model.make_output_human_readable(output)
        labels = self.vocab.get_token_to_index_vocabulary("head_tags")
        for instance, heads, tags in zip(self.instances, readable["heads"], readable["head_tags"], strict=True):
            length = len(instance["metadata"].metadata["tokens"])
            assert len(heads) == len(tags) == length and heads.count(0) == 1
            assert set(tags) <= set(labels)

    def test_metrics_are_those_of_a_perfect_parser_on_its_own_output(self):
        self.model.eval()
        output = self.model(**self.tensors)
        tree = torch.full_like(self.tensors["tree"], -1)
        tree.scatter_(2, output["heads"].unsqueeze(2), output["head_tags"].unsqueeze(2))
        tree[:, 0] = -1
        tree[~output["mask"]] = -1
        self.model.get_metrics(reset=True)
        self.model(tokens=self.tensors["tokens"], tree=tree)
        assert self.model.get_metrics() == {"uas": 1, "las": 1, "uem": 1}

    def test_a_label_first_seen_after_training_is_an_error_but_no_crash(self):
        instance = ConlluReader().text_to_instance(["a", "b"], ["X", "X"], ["a", "b"], [2, 0], ["unheard-of", "root"])
        batch = Batch([instance])
        instance["tokens"].token_indexers = self.instances[0]["tokens"].token_indexers
        batch.index_instances(self.vocab)
        self.model.eval()
        self.model.get_metrics(reset=True)
        assert self.model(**batch.as_tensor_dict())["loss"].isfinite()
        assert self.model.get_metrics()["las"] <= 0.5

    def tensors_of(self, *heads):
        """A batch of sentences with such heads, which are named s0, s1, …."""
        instances = [
            ConlluReader().text_to_instance(
                ["a"] * len(row), ["X"] * len(row), ["a"] * len(row), row, ["root"] * len(row), f"s{i}"
            )
            for i, row in enumerate(heads)
        ]
        for instance in instances:
            instance["tokens"].token_indexers = self.instances[0]["tokens"].token_indexers
        batch = Batch(instances)
        batch.index_instances(self.vocab)
        return batch.as_tensor_dict()

    @pytest.mark.parametrize(
        "loss, consequence",
        [
            ("softmax_margin", "leaves them out"),
            ({"type": "tree_crf", "outside": "nearest"}, "has the nearest admitted trees in their place"),
            ("head_selection", "learns their heads all the same"),
        ],
    )
    def test_gold_trees_outside_of_the_structure_are_told_once(self, loss, consequence, caplog):
        params = Params.from_file(str(CONFIG), json.dumps({"model.loss": loss}))["model"]
        model = Model.from_params(vocab=self.vocab, params=params)
        tensors = self.tensors_of([2, 0, 2], [0, 0, 2], [0, 0, 0], [0, 1, 2])
        for training in (True, True, False):
            model.train(training)
            model(**tensors)
            model(**tensors)
            assert model.get_metrics()["trees_outside"] == 4
            assert model.get_metrics(reset=True)["trees_outside"] == 4
        assert "trees_outside" not in model.get_metrics()
        name = loss if isinstance(loss, str) else loss["type"]
        message = (
            "4 of 8 gold trees in {} are none that nonprojective_tree with a single root admits, first that of the "
            f"sentence 's1': the loss {name} {consequence}"
        )
        told = [record.getMessage() for record in caplog.records if "gold trees" in record.getMessage()]
        assert told == [message.format("training"), message.format("evaluation")]

    def test_trees_inside_of_the_structure_are_not_worth_a_word(self, caplog):
        self.model(**self.tensors)
        assert "trees_outside" not in self.model.get_metrics(reset=True)
        assert "gold trees" not in caplog.text

    def test_of_a_partial_tree_only_given_heads_are_scored(self):
        self.model.eval()
        tensors = self.tensors_of([2, 0, 2])
        tensors["tree"][0, 1:3] = -1
        output = self.model(**tensors)
        assert output["loss"].isfinite() and output["loss"] >= 0
        assert self.model.get_metrics(reset=True)["uas"] == float(output["heads"][0, 3] == 2)

    def test_figures_without_the_punctuation_that_the_reader_marks(self):
        tensors = self.tensors_of([2, 0, 2], [0, 1])
        heads = self.model.eval()(**tensors)["heads"]
        for sentence, marks in zip(tensors["metadata"], ([False, True, True], [True, False]), strict=True):
            sentence["is_punctuation"] = marks
        self.model.get_metrics(reset=True)
        self.model(**tensors)
        right = [int(heads[0, 1] == 2), int(heads[1, 2] == 1)]
        assert self.model.get_metrics(reset=True)["uas_without_punctuation"] == sum(right) / 2
        params = Params.from_file(str(CONFIG))["model"]
        params["attachment_scores"] = {"punctuation": "ignored"}
        model = Model.from_params(vocab=self.vocab, params=params)
        model(**tensors)
        assert model.get_metrics().keys() == {"uas", "las", "uem"}

    def test_an_encoder_that_does_not_fit_the_embedder_is_refused(self):
        params = Params.from_file(str(CONFIG))["model"]
        params["encoder"]["input_size"] = 7
        with pytest.raises(ConfigurationError, match=r"gives 9 dimensions .* input_size is 7"):
            Model.from_params(vocab=self.vocab, params=params)

    def test_an_encoder_may_leave_its_width_to_the_embedder(self):
        overrides = json.dumps({"model.encoder.input_size": None})
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=overrides, seed=1)

    def test_a_tree_of_one_s_own_trains_saves_and_loads(self, my_tree):
        overrides = json.dumps({"model.structure": my_tree, "model.loss": "hinge"})
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=overrides, seed=1)

    def test_a_structure_that_is_no_tree_is_refused(self):
        params = Params.from_file(str(CONFIG), json.dumps({"model.structure": "linear_chain"}))["model"]
        with pytest.raises(ConfigurationError, match=r"needs a structure of heads, .* whose cells are label pairs"):
            Model.from_params(vocab=self.vocab, params=params)

    def test_a_loss_that_needs_what_the_structure_lacks_is_refused(self, my_tree):
        overrides = json.dumps({"model.structure": my_tree, "model.loss": "tree_crf"})
        params = Params.from_file(str(CONFIG), overrides)["model"]
        with pytest.raises(ConfigurationError, match=r"^the loss tree_crf needs log_partition, and my_tree has none$"):
            Model.from_params(vocab=self.vocab, params=params)
