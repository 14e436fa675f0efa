import json

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch, DatasetReader
from allennlp.models import Model, load_archive

from spigot_allennlp.surrogates import StructuredArgmax
from tests import FIXTURES_ROOT

CONFIG = FIXTURES_ROOT / "syntactic_then_semantic.jsonnet"
TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


class TestSyntacticThenSemantic(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        self.set_up_model(CONFIG, TOY, seed=1)
        self.tensors = self.dataset.as_tensor_dict()

    def test_trains_saves_and_loads(self):
        self.ensure_model_can_train_save_and_load(CONFIG, seed=1)

    @pytest.mark.parametrize("method", ["straight_through", "structured_attention"])
    def test_other_methods_train_save_and_load(self, method):
        overrides = json.dumps({"model.intermediate": {"type": method, "structure": "projective_tree"}})
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=overrides, seed=1)

    def test_a_pruned_first_stage_trains_saves_and_loads(self):
        """The tree of the batch has none of the arcs that its pruner took away, and SPIGOT's gradient none for them."""
        stage = Params.from_file(str(CONFIG))["model"]["syntactic_parser"].as_dict()
        parser = {"type": "spigot_dependency_parser", **stage, "loss": "tree_crf"}
        overrides = {"model.syntactic_parser.pruner": {"type": "parser", "parser": parser, "max_heads": 2}}
        self.ensure_model_can_train_save_and_load(CONFIG, overrides=json.dumps(overrides), seed=1)

        params = Params.from_file(str(CONFIG), json.dumps(overrides))["model"]
        model = Model.from_params(vocab=self.vocab, params=params)
        scores = []
        model.intermediate.register_forward_hook(lambda module, inputs, output: scores.append(inputs[0]))
        del self.tensors["tree"]
        output = model(**self.tensors)
        scores[0].retain_grad()
        output["loss"].backward()
        kept = model.syntactic_parser.pruner(self.tensors["tokens"])
        tokens = output["mask"].clone()
        tokens[:, 0] = False
        assert kept.gather(2, output["heads"].unsqueeze(2)).squeeze(2)[tokens].all()
        assert scores[0].grad.any() and not scores[0].grad[~kept].any()
        assert model.get_metrics(reset=True)["pruner_arcs"] <= 3

    def test_batches_are_consistent(self):
        self.ensure_batch_predictions_are_consistent()

    def test_output_keys(self):
        output = self.model(**self.tensors)
        assert output.keys() == {"heads", "arcs", "mask", "loss"}
        assert self.model.make_output_human_readable(output).keys() == {"heads", "arcs", "tops", "loss"}
        del self.tensors["graph"], self.tensors["tree"]
        self.model.eval()
        assert self.model(**self.tensors).keys() == {"heads", "arcs", "arc_weights", "mask"}

    def test_the_intermediate_tree_has_a_las_where_it_has_labels(self):
        labels = {"num_layers": 1, "hidden_dims": 4, "activations": "relu"}
        overrides = json.dumps({"model.syntactic_parser.label_feedforward": labels})
        model = Model.from_params(vocab=self.vocab, params=Params.from_file(str(CONFIG), overrides)["model"]).eval()
        for sentence in self.tensors["metadata"]:
            sentence["is_punctuation"] = [token == "." for token in sentence["tokens"]]
        output = model(**self.tensors)
        right = self.tensors["tree"].argmax(dim=2) == output["heads"]
        right &= self.tensors["tree"].amax(dim=2) == output["head_tags"]
        metrics = model.get_metrics(reset=True)
        assert metrics["las"] == pytest.approx((right[:, 1:].sum() / output["mask"][:, 1:].sum()).item())
        assert "las_without_punctuation" in metrics

    def test_readable_output_has_one_head_a_token_and_legal_positions(self):
        self.model.eval()
        outputs = self.model.forward_on_instances(self.instances)
        assert len(outputs) == len(self.instances)
        for instance, output in zip(self.instances, outputs, strict=True):
            length = len(instance["metadata"].metadata["tokens"])
            assert len(output["heads"]) == length and output["heads"].count(0) == 1
            assert all(0 <= head <= length for head in output["heads"])
            for predicate, argument, label in output["arcs"]:
                assert 1 <= predicate <= length and 1 <= argument <= length and predicate != argument
                assert label in self.vocab.get_token_to_index_vocabulary("graph_labels")
            assert all(1 <= top <= length for top in output["tops"])

    @pytest.mark.parametrize("mode", [True, False])
    @pytest.mark.parametrize("method", ["spigot", "imle", "structured_attention", "sparsemap"])
    def test_what_is_reported_is_what_was_read(self, method, mode):
        """A tree of its own kind, also where the argmax is one of noisy scores; of a mixture the best tree."""
        params = Params({"type": method, "structure": "projective_tree"})
        self.model.intermediate = StructuredArgmax.from_params(params).train(mode)
        self.model.syntactic_parser.structure = None  # decodes nothing
        self.model.train(mode)
        seen = []
        self.model.intermediate.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
        del self.tensors["tree"]
        heads = self.model(**self.tensors)["heads"]
        ((scores, z),) = seen
        if self.model.intermediate.passes_mixture:
            expected = self.model.intermediate.structure.argmax(scores, self.model(**self.tensors)["mask"])
        else:
            expected = z
        assert torch.equal(heads, expected.argmax(dim=2))

    def test_arc_weights(self):
        self.model.intermediate = self.intermediate("structured_attention")
        self.model.eval()
        for instance, output in zip(self.instances, self.model.forward_on_instances(self.instances), strict=True):
            weights = output["arc_weights"]
            assert all(weight >= 0.01 for _, _, weight in weights)
            for modifier in range(1, len(instance["metadata"].metadata["tokens"]) + 1):
                assert sum(w for m, _, w in weights if m == modifier) == pytest.approx(1, abs=0.1)

    def test_another_structure_than_the_intermediate_s_is_refused(self):
        with pytest.raises(
            ConfigurationError, match=r"expected syntactic_parser .* 'nonprojective_tree', .* found .*'pr"
        ):
            self.build(syntactic_parser__structure="projective_tree")
        model = self.build(syntactic_parser__structure={"type": "nonprojective_tree", "single_root": True})
        assert model.syntactic_parser.structure is model.intermediate.structure

    def test_metrics(self):
        self.model(**self.tensors)
        assert self.model.get_metrics().keys() == {"uas", "uem", "labelled_f1", "unlabelled_f1"}
        metrics = self.model.get_metrics(reset=True)
        assert 0 < metrics["uas"] < 1 and len(metrics) == 2 + 12
        assert self.model.get_metrics() == {}

    def test_there_are_no_figures_for_trees_without_gold_trees(self):
        del self.tensors["tree"]
        self.model(**self.tensors)
        assert "uas" not in self.model.get_metrics()

    def syntactic_gradient(self, loss):
        self.model.zero_grad()
        loss.backward()
        return torch.cat(
            [
                (torch.zeros_like(p) if p.grad is None else p.grad).flatten()
                for name, p in self.model.syntactic_parser.named_parameters()
                if "text_field_embedder" not in name  # shared with the second stage
            ]
        )

    def intermediate(self, method, **settings):
        params = Params({"type": method, "structure": {"type": "nonprojective_tree", "single_root": True}, **settings})
        return StructuredArgmax.from_params(params)

    @pytest.mark.parametrize("method", ["spigot", "straight_through", "structured_attention"])
    def test_the_loss_on_graphs_alone_reaches_the_first_stage(self, method):
        self.model.intermediate = self.intermediate(method)
        del self.tensors["tree"]
        assert self.syntactic_gradient(self.model(**self.tensors)["loss"]).norm() > 1e-4

    def test_pipeline_keeps_the_loss_on_graphs_from_the_first_stage(self):
        self.model.intermediate = self.intermediate("pipeline")
        del self.tensors["tree"]
        assert not self.syntactic_gradient(self.model(**self.tensors)["loss"]).any()

    def test_the_gradient_of_a_sentence_does_not_depend_on_its_batch(self):
        self.model.eval()  # no word dropout
        del self.tensors["tree"]
        together = self.syntactic_gradient(self.model(**self.tensors)["loss"])
        alone = torch.zeros_like(together)
        for instance in self.instances:
            batch = Batch([instance])
            tensors = batch.as_tensor_dict()
            del tensors["tree"]
            alone += self.syntactic_gradient(self.model(**tensors)["loss"])
        torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-5)

    def test_a_batch_of_trees_alone_trains_the_first_stage_only(self):
        del self.tensors["graph"]
        self.model.train()
        output = self.model(**self.tensors)
        assert "arcs" not in output
        assert self.syntactic_gradient(output["loss"]).any()
        assert all(parameter.grad is None for parameter in self.model.semantic_parser.encoder.parameters())

    def test_losses_add_up(self):
        self.model.eval()
        both = self.model(**self.tensors)["loss"]
        without_trees, without_graphs = ({k: v for k, v in self.tensors.items() if k != x} for x in ("tree", "graph"))
        parts = [self.model(**tensors)["loss"] for tensors in (without_trees, without_graphs)]
        torch.testing.assert_close(both, sum(parts))
        self.model.syntactic_loss_weight = 0.25
        torch.testing.assert_close(self.model(**self.tensors)["loss"], parts[0] + 0.25 * parts[1])

    def build(self, **overrides):
        params = Params.from_file(str(CONFIG))["model"]
        for key, value in overrides.items():
            stage, _, name = key.partition("__")
            if value is None:
                params[stage].pop(name)
            else:
                params[stage][name] = value
        return Model.from_params(vocab=self.vocab, params=params)

    def test_what_the_second_stage_does_not_declare_it_shares(self):
        model = self.build()
        assert model.semantic_parser.text_field_embedder is model.syntactic_parser.text_field_embedder
        assert model.semantic_parser.encoder is not model.syntactic_parser.encoder
        assert model.syntactic_parser.structure is model.intermediate.structure

        model = self.build(semantic_parser__encoder=None)
        assert model.semantic_parser.encoder is model.syntactic_parser.encoder
        assert model(**self.tensors)["loss"] > 0

    def test_the_wrong_kind_of_stage_is_refused(self):
        params = Params.from_file(str(CONFIG))["model"]
        embedder = params["syntactic_parser"]["text_field_embedder"]
        params["syntactic_parser"] = params["semantic_parser"].duplicate()
        params["syntactic_parser"]["text_field_embedder"] = embedder
        with pytest.raises(ConfigurationError, match="syntactic_parser must be a spigot_dependency_parser"):
            Model.from_params(vocab=self.vocab, params=params)


class TestPretrainedStages(ModelTestCase):
    """Stages that start from archives whose vocabularies have another order."""

    def train_stage(self, name, reader, data_path, model):
        params = Params.from_file(str(CONFIG)).as_dict()
        stages = params["model"]
        params["dataset_reader"] = {**reader, "token_indexers": params["dataset_reader"]["token_indexers"]}
        params["train_data_path"] = params["validation_data_path"] = str(data_path)
        params["model"] = {"text_field_embedder": stages["syntactic_parser"]["text_field_embedder"], **stages[model]}
        params["trainer"].pop("validation_metric")
        if model == "semantic_parser":
            params["model"]["reads_trees"] = True
        (self.TEST_DIR / f"{name}.json").write_text(json.dumps(params))
        train_model_from_file(self.TEST_DIR / f"{name}.json", self.TEST_DIR / name)
        return self.TEST_DIR / name / "model.tar.gz"

    def test_both_stages_and_a_self_contained_archive(self):
        for suffix, header in (("sdp", "#SDP 2015\n"), ("conllu", "")):  # another order: another vocabulary
            text = (FIXTURES_ROOT / "toy" / f"toy.{suffix}").read_text(encoding="utf-8").removeprefix(header)
            reversed_text = header + "\n\n".join(reversed(text.strip().split("\n\n"))) + "\n\n"
            (self.TEST_DIR / f"reversed.{suffix}").write_text(reversed_text, encoding="utf-8")
        reader = {"type": "spigot_sdp", "trees": "companion"}
        syntax = self.train_stage("syntax", reader, self.TEST_DIR / "reversed.sdp", "syntactic_parser")
        semantics = self.train_stage("semantics", reader, TOY, "semantic_parser")

        embedder = Params.from_file(str(CONFIG)).as_dict()["model"]["syntactic_parser"]["text_field_embedder"]
        overrides = {
            "model.syntactic_parser.pretrained_file": str(syntax),
            "model.semantic_parser.pretrained_file": str(semantics),
            "model.semantic_parser.text_field_embedder": embedder,
            "trainer.optimizer.lr": 0.0,
            "trainer.optimizer.weight_decay": 0.0,
        }
        model = train_model_from_file(
            CONFIG, self.TEST_DIR / "joint", overrides=json.dumps(overrides), return_model=True
        ).eval()
        first, second = load_archive(syntax).model.eval(), load_archive(semantics).model.eval()
        assert first.vocab.get_token_to_index_vocabulary("words") != model.vocab.get_token_to_index_vocabulary("words")

        instances = list(DatasetReader.from_params(Params.from_file(str(CONFIG))["dataset_reader"]).read(str(TOY)))
        for instance in instances:
            Batch([instance]).index_instances(model.vocab)
            tokens = Batch([instance]).as_tensor_dict()["tokens"]
            scores = model.syntactic_parser.score(model.syntactic_parser.encode(tokens)[0])
            instance.indexed = False
            Batch([instance]).index_instances(first.vocab)
            tokens = Batch([instance]).as_tensor_dict()["tokens"]
            torch.testing.assert_close(scores, first.score(first.encode(tokens)[0]))
            instance.indexed = False
        torch.testing.assert_close(
            model.semantic_parser.label_scorer.weight, self.rows_by_label(second, model.vocab, "graph_labels")
        )

        for archive in (syntax, semantics):
            archive.unlink()
        loaded = load_archive(self.TEST_DIR / "joint" / "model.tar.gz").model
        assert loaded.state_dict().keys() == model.state_dict().keys()
        # The archive of the pipeline can itself be what a stage starts from.
        overrides = {"model.syntactic_parser.pretrained_file": str(self.TEST_DIR / "joint" / "model.tar.gz")}
        train_model_from_file(CONFIG, self.TEST_DIR / "again", overrides=json.dumps(overrides))

    def test_two_pretrained_stages_cannot_share_an_embedder(self):
        overrides = {
            f"model.{stage}.pretrained_file": "any.tar.gz" for stage in ("syntactic_parser", "semantic_parser")
        }
        with pytest.raises(ConfigurationError, match="semantic_parser needs a text_field_embedder of its own"):
            train_model_from_file(CONFIG, self.TEST_DIR / "refused", overrides=json.dumps(overrides))

    @staticmethod
    def rows_by_label(model, vocab, namespace):
        labels = vocab.get_index_to_token_vocabulary(namespace)
        ids = [model.vocab.get_token_index(labels[i], namespace) for i in range(len(labels))]
        return model.label_scorer.weight[ids]

    def test_an_archive_of_another_shape_or_kind_is_refused(self):
        syntax = self.train_stage(
            "syntax", {"type": "spigot_conllu"}, FIXTURES_ROOT / "toy" / "toy.conllu", "syntactic_parser"
        )
        for overrides, message in (
            ({"model.semantic_parser.pretrained_file": str(syntax)}, "holds no SemanticParser"),
            (
                {
                    "model.syntactic_parser.pretrained_file": str(syntax),
                    "model.syntactic_parser.arc_scorer.hidden_dim": 7,
                },
                r"'arc_scorer.weight' is \(1, 5\) in .* and \(1, 7\) here",
            ),
        ):
            with pytest.raises(ConfigurationError, match=message):
                train_model_from_file(CONFIG, self.TEST_DIR / "refused", overrides=json.dumps(overrides), force=True)
