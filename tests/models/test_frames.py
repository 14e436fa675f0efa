"""A semantic parser that predicts frames, alone and in pipelines."""

import json

import pytest
import torch
from allennlp.commands.train import train_model
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model

from spigot_allennlp.data.sdp import read_sdp
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


class FramesTestCase(ModelTestCase):
    config = ""
    stage = ""
    frames = "{}"

    def setup_method(self):
        super().setup_method()
        params = Params.from_file(FIXTURES_ROOT / self.config).as_dict(quiet=True)
        params["dataset_reader"]["frames"] = True
        stage = params["model"][self.stage] if self.stage else params["model"]
        stage["frames"] = json.loads(self.frames)
        path = self.TEST_DIR / "config.json"
        path.write_text(json.dumps(params))
        self.set_up_model(path, TOY, seed=1)
        self.tensors = self.dataset.as_tensor_dict()

    def parser(self):
        return self.model.get_submodule(self.stage)

    def check_it_trains_saves_and_loads(self):
        self.ensure_model_can_train_save_and_load(self.param_file, seed=1)

    def check_batches_are_consistent(self):
        self.ensure_batch_predictions_are_consistent()

    def check_frames_learn_beside_the_graph(self):
        """The loss is the graph's and that of the frames, which reaches the encoder."""
        without = {key: value for key, value in self.tensors.items() if key != "frames"}
        self.model.eval()
        loss = self.model(**self.tensors)["loss"] - self.model(**without)["loss"]
        assert loss > 0
        figures = self.model.get_metrics(reset=True)
        assert {name for name in figures if "frame" in name} == {
            f"frame_{name}" for name in ("precision", "recall", "f1", "accuracy")
        }
        self.model(**without)
        assert not any("frame" in name for name in self.model.get_metrics(reset=True))
        assert any(gradient.any() for gradient in torch.autograd.grad(loss, list(self.parser().encoder.parameters())))


class TestFramesOfASemanticParser(FramesTestCase):
    config = "semantic_parser.jsonnet"

    def test_it_trains_saves_and_loads(self):
        self.check_it_trains_saves_and_loads()

    def test_batches_are_consistent(self):
        self.check_batches_are_consistent()

    def test_frames_learn_beside_the_graph(self):
        self.check_frames_learn_beside_the_graph()

    def test_what_is_learnt_is_predicted(self):
        optimizer = torch.optim.Adam(self.model.eval().parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            self.model(**self.tensors)["loss"].backward()
            optimizer.step()
        self.model.get_metrics(reset=True)
        output = self.model.forward_on_instances(self.instances)
        assert [sentence["frames"] for sentence in output] == [sentence.frames for sentence in read_sdp(TOY)]
        assert {"leave.01", "leave.02"} <= {frame for sentence in output for frame in sentence["frames"]}
        assert self.model.get_metrics(reset=True)["frame_f1"] == 1

    def test_output_keys(self):
        assert self.model(**self.tensors).keys() == {"arcs", "mask", "loss"}
        assert self.model.eval()(**self.tensors).keys() == {"arcs", "frames", "mask", "loss"}

    def test_frames_need_lemmas(self):
        del self.tensors["metadata"]
        with pytest.raises(ConfigurationError, match="needs the field 'metadata'"):
            self.model(**self.tensors)

    def test_frames_in_the_vocabulary_are_demanded(self):
        params = Params.from_file(self.param_file)
        reader = params["dataset_reader"].as_dict() | {"frames": False}
        vocab = Vocabulary.from_instances(DatasetReader.from_params(Params(reader)).read(TOY))
        with pytest.raises(ConfigurationError, match="frame_labels"):
            Model.from_params(vocab=vocab, params=params["model"])

    def test_a_parser_without_frames_reads_the_same_data(self):
        params = Params.from_file(self.param_file)["model"]
        del params.params["frames"]
        model = Model.from_params(vocab=self.vocab, params=params).eval()
        output = model(**self.tensors)
        assert output.keys() == {"arcs", "mask", "loss"}
        assert not any("frame" in name for name in model.get_metrics(reset=True))

    def test_it_starts_from_a_parser_with_other_labels(self, tmp_path):
        """Labels are matched by name, and one that is not there keeps its fresh weights."""
        train_model(Params.from_file(self.param_file), tmp_path / "first")
        text = TOY.read_text(encoding="utf-8").replace("want.01", "long.03")
        (tmp_path / "other.sdp").write_text(text, encoding="utf-8")
        (tmp_path / "other.conllu").write_text(TOY.with_suffix(".conllu").read_text(encoding="utf-8"), encoding="utf-8")
        params = Params.from_file(self.param_file)
        instances = list(DatasetReader.from_params(params["dataset_reader"]).read(tmp_path / "other.sdp"))
        vocab = Vocabulary.from_instances(instances)
        names = vocab.get_index_to_token_vocabulary("frame_labels")
        assert set(names.values()) == {"@@LEMMA@@.01", "@@LEMMA@@.02", "long.03"}
        archive = str(tmp_path / "first" / "model.tar.gz")
        params["model"]["pretrained_file"] = archive
        model = Model.from_params(vocab=vocab, params=params["model"])
        first = Model.from_archive(archive)
        for index, name in names.items():
            known = first.vocab.get_token_to_index_vocabulary("frame_labels").get(name)
            row = model.frames.projection.weight[index]
            assert (known is None) == (name == "long.03")
            assert known is None or torch.equal(row, first.frames.projection.weight[known])


class TestFramesInAPipeline(FramesTestCase):
    config = "syntactic_then_semantic.jsonnet"
    stage = "semantic_parser"
    frames = '{"feedforward": {"num_layers": 1, "hidden_dims": 4, "activations": "tanh"}, "use_lemmas": false}'

    def test_it_trains_saves_and_loads(self):
        self.check_it_trains_saves_and_loads()

    def test_batches_are_consistent(self):
        self.check_batches_are_consistent()

    def test_frames_learn_beside_the_graph(self):
        self.check_frames_learn_beside_the_graph()

    def test_frames_reach_the_tree(self):
        """The second stage's loss, which the intermediate tree learns from, has that of the frames in it."""
        scores = []
        self.model.intermediate.register_forward_hook(lambda module, inputs, output: scores.append(inputs[0]))
        without = {key: value for key, value in self.tensors.items() if key not in ("frames", "tree")}
        gradients = []
        for tensors in (without, {**without, "frames": self.tensors["frames"]}):
            loss = self.model(**tensors)["loss"]
            gradients.append(torch.autograd.grad(loss, scores.pop())[0])
        assert not torch.equal(*gradients)


def test_of_a_classifiers_parser():
    params = Params.from_file(FIXTURES_ROOT / "semantic_then_sentiment.jsonnet")
    parser = params["model"]["semantic_parser"]
    parser["frames"] = {}
    readers = params["dataset_reader"]["readers"]
    readers["graphs"]["frames"] = True
    graphs = list(DatasetReader.from_params(readers["graphs"]).read(TOY))
    sentiment = DatasetReader.from_params(readers["sentiment"])
    labels = list(sentiment.read(FIXTURES_ROOT / "sentiment" / "train.txt"))[:5]
    vocab = Vocabulary.from_instances([*graphs, *labels])
    model = Model.from_params(vocab=vocab, params=params["model"]).eval()
    batch = Batch(graphs)
    batch.index_instances(vocab)
    assert len(model.make_output_human_readable(model(**batch.as_tensor_dict()))["frames"]) == len(graphs)
    assert "frame_f1" in model.get_metrics(reset=True)
    batch = Batch(labels)
    batch.index_instances(vocab)
    output = model.make_output_human_readable(model(**batch.as_tensor_dict()))
    assert [len(frames) for frames in output["frames"]] == [len(label["tokens"]) - 1 for label in labels]
