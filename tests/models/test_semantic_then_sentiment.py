import json

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model, load_archive

from spigot_allennlp.data.dataset_readers import SdpReader, SentimentReader
from spigot_allennlp.surrogates import StructuredArgmax
from tests import FIXTURES_ROOT

CONFIG = FIXTURES_ROOT / "semantic_then_sentiment.jsonnet"
SENTENCES = FIXTURES_ROOT / "sentiment" / "dev.txt"
TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


class TestSemanticThenSentiment(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        torch.manual_seed(1)
        params = Params.from_file(str(CONFIG))
        readers = params["dataset_reader"]["readers"]
        self.sentences = list(DatasetReader.from_params(readers["sentiment"]).read(SENTENCES))[:6]
        self.graphs = list(DatasetReader.from_params(readers["graphs"]).read(TOY))
        self.vocab = Vocabulary.from_instances(self.sentences + self.graphs)
        self.model = Model.from_params(vocab=self.vocab, params=params["model"])
        self.dataset = Batch(self.sentences)
        self.labelled = self.tensors(self.sentences)
        self.graphed = self.tensors(self.graphs)

    def tensors(self, instances):
        batch = Batch(instances)
        batch.index_instances(self.vocab)
        return batch.as_tensor_dict()

    def test_trains_saves_and_loads(self):
        model = train_model_from_file(CONFIG, self.TEST_DIR / "output", return_model=True).eval()
        loaded = load_archive(self.TEST_DIR / "output" / "model.tar.gz").model.eval()
        for instances in (self.sentences, self.graphs):
            expected, found = (self.forward(m, instances) for m in (model, loaded))
            assert expected.keys() == found.keys()
            for key, value in expected.items():
                torch.testing.assert_close(found[key], value)

    @staticmethod
    def unindexed(instances):
        for instance in instances:
            instance.indexed = False
        return instances

    def forward(self, model, instances):
        batch = Batch(self.unindexed(instances))
        batch.index_instances(model.vocab)
        return {k: v for k, v in model(**batch.as_tensor_dict()).items() if isinstance(v, torch.Tensor)}

    @pytest.mark.parametrize("method", ["pipeline", "straight_through", "structured_attention", "spigot_ce"])
    def test_other_methods_train(self, method):
        overrides = json.dumps({"model.intermediate": {"type": method, "structure": "semantic_graph"}})
        train_model_from_file(CONFIG, self.TEST_DIR / method, overrides=overrides)
        metrics = json.loads((self.TEST_DIR / method / "metrics.json").read_text())
        assert {"best_validation_accuracy", "best_validation_labelled_f1"} <= metrics.keys()

    def test_output_keys(self):
        graph_output = {"mask", "arcs"}
        classes = {"logits", "probabilities"}
        assert self.model(**self.labelled).keys() == classes | {"loss"}
        assert self.model(**self.graphed).keys() == graph_output | {"loss"}
        self.model.eval()
        graph_output |= {"arc_weights"}
        assert self.model(**self.labelled).keys() == graph_output | classes | {"loss"}
        assert self.model(**self.graphed).keys() == graph_output | {"loss"}
        assert self.model(tokens=self.labelled["tokens"]).keys() == graph_output | classes

    def test_readable_output(self):
        self.model.eval()
        for instance, output in zip(self.sentences, self.model.forward_on_instances(self.sentences), strict=True):
            length = len(instance["metadata"]["tokens"])
            assert output["label"] == max(output["probabilities"], key=output["probabilities"].get)
            assert sum(output["probabilities"].values()) == pytest.approx(1)
            assert all(1 <= top <= length for top in output["tops"])
            assert all(1 <= p <= length and 1 <= a <= length for p, a, _ in output["arcs"])

    def test_batches_are_consistent(self):
        self.model.eval()
        together = self.model(**self.labelled)
        for i, instance in enumerate(self.sentences):
            alone = self.model(**self.tensors([instance]))
            torch.testing.assert_close(alone["logits"][0], together["logits"][i], rtol=1e-4, atol=1e-5)

    def test_metrics_are_of_what_was_seen(self):
        assert self.model.get_metrics() == {}
        self.model(**self.labelled)
        assert self.model.get_metrics().keys() == {"accuracy"}
        self.model(**self.graphed)
        assert self.model.get_metrics().keys() == {"accuracy", "labelled_f1", "unlabelled_f1"}
        assert len(self.model.get_metrics(reset=True)) == 1 + 12
        assert self.model.get_metrics() == {}

    def test_losses_add_up(self):
        self.model.eval()
        self.graphed["label"] = torch.arange(len(self.graphs)) % 2
        both = self.model(**self.graphed)["loss"]
        labels, graphs = ({k: v for k, v in self.graphed.items() if k != out} for out in ("graph", "label"))
        parts = [self.model(**labels)["loss"], self.model(**graphs)["loss"]]
        torch.testing.assert_close(both, sum(parts))
        self.model.parser_loss_weight = 0.25
        torch.testing.assert_close(self.model(**self.graphed)["loss"], parts[0] + 0.25 * parts[1])

    def intermediate(self, method, **settings):
        intermediate = StructuredArgmax.from_params(Params({"type": method, "structure": "semantic_graph", **settings}))
        intermediate.structure = self.model.semantic_parser.structure
        return intermediate

    def gradients(self, tensors):
        self.model.zero_grad()
        self.model(**tensors)["loss"].backward()
        return {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}

    def more_arcs(self):
        """A parser that has not learnt yet predicts no arcs, and tokens without heads tell nothing of heads."""
        parser = self.model.semantic_parser
        with torch.no_grad():
            scores = parser.score(parser.encode(self.labelled["tokens"])[0])
            parser.arc_scorer.weight *= 10 * scores.arcs.mean().sign()

    def test_what_only_the_third_pipeline_uses_may_be_there(self):
        reader, columns = SentimentReader(), (["It", "works"], ["P", "V"], ["it", "work"])
        known, plain = (
            reader.text_to_instance(*columns, label="1", **more)
            for more in ({"heads": [2, 0], "latent_class": "x"}, {})
        )
        for instance in (known, plain):
            reader.apply_token_indexers(instance)
        self.model.eval()
        assert self.forward(self.model, [known])["loss"] == self.forward(self.model, [plain])["loss"]

    def test_improbable_arcs_are_no_parts(self):
        self.model.eval()
        parser, tokens = self.model.semantic_parser, self.labelled["tokens"]
        encoded, mask = parser.encode(tokens)
        scores = parser.score(encoded)
        marginals = parser.structure.marginals(parser.part_scores(scores), mask)
        seen = []
        self.model.intermediate.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        for threshold in (0.0, marginals[marginals > 0].median().item()):
            self.model.pruning_threshold = threshold
            self.model(tokens)
        parts = parser.structure.parts(seen[0], mask)
        assert seen[0][parts].isfinite().all()
        assert (seen[1].isneginf() == (marginals < threshold))[parts].all()
        assert seen[1].isfinite().any()

    @pytest.mark.parametrize("method", ["spigot", "straight_through", "structured_attention"])
    def test_the_loss_on_labels_reaches_arcs_and_labels_of_the_parser(self, method):
        self.model.intermediate = self.intermediate(method)
        self.more_arcs()
        gradients = self.gradients(self.labelled)
        for name in ("arc_scorer.weight", "label_scorer.weight", "encoder._module.weight_ih_l0"):
            assert gradients[f"semantic_parser.{name}"].norm() > 1e-6

    @pytest.mark.parametrize("method", ["spigot", "structured_attention"])
    def test_the_loss_on_labels_reaches_predicates(self, method):
        params = Params.from_file(str(CONFIG))["model"]
        params["semantic_parser"]["predicate_feedforward"] = {"num_layers": 1, "hidden_dims": 4, "activations": "tanh"}
        params["intermediate"] = {"type": method, "structure": "semantic_graph"}
        self.model = Model.from_params(vocab=self.vocab, params=params)
        assert self.model.intermediate.structure.predicates
        self.more_arcs()
        parser = self.model.semantic_parser
        with torch.no_grad():
            scores = parser.score(parser.encode(self.labelled["tokens"])[0])
            worth = scores.arcs.clamp(min=0).sum(2) + scores.predicates
            parser.predicate_projection.bias -= worth.median()  # half of the predicates are off
        gradients = self.gradients(self.labelled)
        assert gradients["semantic_parser.predicate_projection.weight"].norm() > 1e-6

    @pytest.mark.parametrize("method", ["spigot", "structured_attention"])
    def test_what_is_reported_is_what_was_read(self, method):
        """Also where pruning makes it another graph than the parser's best."""
        self.model.intermediate = self.intermediate(method)
        self.more_arcs()
        self.model.pruning_threshold = 0.5
        self.model.eval()
        seen = []
        self.model.features.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
        arcs = self.model(tokens=self.labelled["tokens"])["arcs"]
        assert (arcs >= 0).any()
        assert (seen[0].sum(dim=3)[arcs >= 0] > 0).all()
        if method == "spigot":
            assert torch.equal(arcs >= 0, seen[0].sum(dim=3) > 0)
            assert torch.equal(seen[0].argmax(dim=3)[arcs >= 0], arcs[arcs >= 0])

    def test_another_structure_than_the_intermediate_s_is_refused(self):
        params = Params.from_file(str(CONFIG))["model"]
        params["semantic_parser"]["structure"] = {"type": "semantic_graph", "top_label": 0}
        with pytest.raises(ConfigurationError, match="expected semantic_parser to have the structure of intermediate"):
            Model.from_params(vocab=self.vocab, params=params)

    def test_pipeline_keeps_the_loss_on_labels_from_the_parser(self):
        self.model.intermediate = self.intermediate("pipeline")
        self.more_arcs()
        assert not any(name.startswith("semantic_parser") for name in self.gradients(self.labelled))
        assert any(name.startswith("semantic_parser") for name in self.gradients(self.graphed))

    def test_the_classifier_reads_the_graph(self):
        self.model.eval()
        self.more_arcs()
        with_arcs = self.model(**self.labelled)
        assert (with_arcs["arcs"] >= 0).any()
        self.model.semantic_parser = self.model.intermediate = None
        assert not torch.allclose(with_arcs["logits"], self.model(**self.labelled)["logits"])

    def test_root_is_no_part_of_the_sentence(self):
        seen = []
        self.model.seq2vec_encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs))
        self.model(**self.labelled)
        ((features, mask),) = seen
        assert features.size(1) == mask.size(1) == max(len(i["metadata"]["tokens"]) for i in self.sentences)

    def test_a_parser_that_is_not_updated(self):
        params = Params.from_file(str(CONFIG))["model"]
        params["update_parser"] = False
        params["semantic_parser"]["dropout"] = 0.5
        self.model = Model.from_params(vocab=self.vocab, params=params).train()
        assert self.model.encoder.training and not self.model.semantic_parser.encoder.training
        gradients = self.gradients(self.labelled)
        assert gradients and not any(name.startswith("semantic_parser") for name in gradients)
        with pytest.raises(ConfigurationError, match="nothing to teach where update_parser is false"):
            self.model(**self.graphed)
        assert "loss" in self.model.eval()(**self.graphed)

    def test_without_a_parser(self):
        params = Params.from_file(str(CONFIG))["model"]
        del params["semantic_parser"], params["intermediate"]
        vocab = Vocabulary.from_instances(list(SentimentReader().read(SENTENCES)))  # no labels of graphs
        model = Model.from_params(vocab=vocab, params=params).eval()
        output = self.forward(model, self.sentences)
        assert output.keys() == {"logits", "probabilities", "loss"}
        assert all(parameter.numel() for parameter in model.parameters())
        assert model.make_output_human_readable(output)["label"][0] in ("0", "1")

    @pytest.mark.parametrize(
        "broken, message",
        [
            ({"semantic_parser": None}, "semantic_parser and intermediate go together"),
            ({"intermediate": None}, "semantic_parser and intermediate go together"),
            ({"intermediate": {"structure": "nonprojective_tree"}}, "intermediate must be a semantic_graph"),
            ({"semantic_parser.reads_trees": True}, "must not read trees"),
            ({"semantic_parser.type": "spigot_dependency_parser"}, "semantic_parser must be a spigot_semantic_parser"),
            ({"encoder.input_size": 5}, "gives 9 dimensions to an encoder whose input_size is 5"),
        ],
    )
    def test_parts_that_do_not_fit_are_refused(self, broken, message):
        params = Params.from_file(str(CONFIG)).as_dict()["model"]
        for key, value in broken.items():
            *path, name = key.split(".")
            target = params[path[0]] if path else params
            target[name] = value
        if "semantic_parser.type" in broken:
            del params["semantic_parser"]["label_scorer"], params["semantic_parser"]["loss"]
        with pytest.raises(ConfigurationError, match=message):
            Model.from_params(vocab=self.vocab, params=Params(params))

    def test_data_without_labels_is_refused(self):
        vocab = Vocabulary.from_instances(list(SdpReader().read(TOY)))
        with pytest.raises(ConfigurationError, match="the vocabulary has no labels"):
            Model.from_params(vocab=vocab, params=Params.from_file(str(CONFIG))["model"])


class TestPretrainedParser(ModelTestCase):
    def test_it_is_where_training_starts_and_no_part_of_it_is_needed_later(self):
        settings = Params.from_file(str(CONFIG)).as_dict()
        parser = {
            "dataset_reader": settings["dataset_reader"]["readers"]["graphs"],
            "train_data_path": str(FIXTURES_ROOT / "ewt" / "dev.sdp"),
            "model": settings["model"]["semantic_parser"],
            "data_loader": {"batch_size": 50},
            "trainer": {"num_epochs": 1, "optimizer": "adam", "enable_default_callbacks": False},
        }
        (self.TEST_DIR / "parser.json").write_text(json.dumps(parser))
        train_model_from_file(self.TEST_DIR / "parser.json", self.TEST_DIR / "parser")
        archive = self.TEST_DIR / "parser" / "model.tar.gz"

        overrides = {
            "vocabulary": {"type": "extend", "directory": str(archive)},
            "model.semantic_parser.pretrained_file": str(archive),
            "trainer.optimizer.lr": 0.0,
            "trainer.optimizer.weight_decay": 0.0,
        }
        model = train_model_from_file(
            CONFIG, self.TEST_DIR / "joint", overrides=json.dumps(overrides), return_model=True
        )
        pretrained = load_archive(archive).model
        first, second = pretrained.state_dict(), model.semantic_parser.state_dict()
        assert first.keys() == second.keys()
        for name, value in first.items():
            if name.endswith("counts"):  # of the words of the data at hand
                ids = model.vocab.get_token_to_index_vocabulary("words")
                assert second[name][ids["thriller"]] == 2 and value.size(0) < second[name].size(0)
            else:  # the words of the archive come first
                torch.testing.assert_close(second[name][: len(value)], value)

        archive.unlink()
        loaded = load_archive(self.TEST_DIR / "joint" / "model.tar.gz").model
        assert loaded.vocab.get_token_to_index_vocabulary() == model.vocab.get_token_to_index_vocabulary()


def test_the_readers_of_both_data_sets_read_sentences_alike():
    sentence = (["Hi", "."], ["UH", "."], ["hi", "."])
    readers = (SdpReader(), SentimentReader())
    first, second = (reader.text_to_instance(*sentence) for reader in readers)
    assert first.fields == second.fields
