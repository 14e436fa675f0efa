import json

import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Vocabulary
from allennlp.models import Model

from tests import FIXTURES_ROOT

CONFIG = FIXTURES_ROOT / "semantic_parser.jsonnet"
TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


class TestSemanticParser(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        self.set_up_model(CONFIG, TOY, seed=1)
        self.tensors = self.dataset.as_tensor_dict()

    @pytest.mark.parametrize("loss", ["hinge", "softmax_margin", "sigmoid_softmax"])
    def test_trains_saves_and_loads(self, loss):
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=json.dumps({"model.loss": loss}), seed=1)

    @pytest.mark.parametrize("overrides", [{"model.reads_trees": False}, {"model.predicate_feedforward": None}])
    def test_without_a_part_it_trains_saves_and_loads(self, overrides):
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=json.dumps(overrides), seed=1)

    def test_batches_are_consistent(self):
        self.ensure_batch_predictions_are_consistent()

    def test_a_gold_graph_is_a_perfect_prediction(self):
        """The readable form of gold arcs is what the reader was given."""
        output = {"arcs": self.tensors["graph"], "mask": torch.ones(len(self.instances), 2, dtype=torch.bool)}
        readable = self.model.make_output_human_readable(output)
        for instance, arcs, tops in zip(self.instances, readable["arcs"], readable["tops"], strict=True):
            field = instance["graph"]
            labelled = [(p, a, label) for (p, a), label in zip(field.indices, field.labels, strict=True)]
            assert sorted(map(tuple, arcs)) == sorted(arc for arc in labelled if arc[0] > 0)
            assert sorted(tops) == sorted(a for p, a, _ in labelled if p == 0)

    def test_it_reads_the_tree(self):
        self.model.eval()
        loss = self.model(**self.tensors)["loss"]
        other = self.tensors["tree"].roll(1, dims=2)
        assert self.model(**{**self.tensors, "tree": other})["loss"] != loss

    def test_a_parser_that_reads_trees_needs_them(self):
        del self.tensors["tree"]
        with pytest.raises(ConfigurationError, match="needs the field 'tree'"):
            self.model(**self.tensors)

    def test_deterministic_labels_are_those_that_no_predicate_repeats(self):
        labels = self.vocab.get_index_to_token_vocabulary("graph_labels")
        repeated = set()
        for instance in self.instances:
            seen = set()
            for (predicate, _), label in zip(instance["graph"].indices, instance["graph"].labels, strict=True):
                if (predicate, label) in seen:
                    repeated.add(label)
                seen.add((predicate, label))
        assert repeated
        deterministic = {labels[i] for i in self.model.structure.deterministic_labels}
        assert deterministic == set(labels.values()) - repeated

    def test_no_deterministic_label_is_predicted_twice(self):
        torch.nn.init.normal_(self.model.label_scorer.weight, std=5.0)  # many arcs
        labels = self.model.eval().structure.deterministic_labels
        assert not self.has_repetitions(labels)
        self.model.structure.deterministic_labels = []
        assert self.has_repetitions(labels)

    def has_repetitions(self, labels):
        rows = self.model(**self.tensors)["arcs"].flatten(0, 1)
        return any(int((row == label).sum()) > 1 for row in rows for label in labels)

    @pytest.mark.parametrize("loss", ["hinge", "sigmoid_softmax"])
    def test_tops_alone_have_the_label_of_tops(self, loss):
        params = Params.from_file(str(CONFIG))["model"]
        params["loss"] = loss
        model = Model.from_params(vocab=self.vocab, params=params).eval()
        torch.nn.init.normal_(model.label_scorer.weight, std=5.0)
        torch.nn.init.normal_(model.arc_scorer.weight, std=5.0)
        arcs = model(**self.tensors)["arcs"]
        top = self.vocab.get_token_index("@@TOP@@", "graph_labels")
        assert (arcs[:, 0] >= 0).any() and (arcs[:, 1:] >= 0).any()
        assert set(arcs[:, 0].unique().tolist()) == {-1, top}
        assert top not in arcs[:, 1:].unique().tolist()

    def test_an_arc_field_without_arcs_has_a_finite_loss(self):
        graph = torch.full_like(self.tensors["graph"], -1)
        assert self.model(**{**self.tensors, "graph": graph})["loss"].isfinite()

    def test_metrics_are_few_while_running_and_all_at_the_end(self):
        self.model(**self.tensors)
        assert self.model.get_metrics().keys() == {"labelled_f1", "unlabelled_f1"}
        assert len(self.model.get_metrics(reset=True)) == 12

    def test_graphs_in_the_vocabulary_are_demanded(self):
        with pytest.raises(ConfigurationError, match="graph_labels"):
            Model.from_params(vocab=Vocabulary(), params=Params.from_file(str(CONFIG))["model"])
