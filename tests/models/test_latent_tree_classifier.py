import json
from copy import deepcopy

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.common.testing import ModelTestCase
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model, load_archive
from allennlp.predictors import Predictor

from spigot_allennlp.data.dataset_readers import SentimentReader
from spigot_allennlp.data.tagger import TaggedSentence
from tests import FIXTURES_ROOT

CONFIG = FIXTURES_ROOT / "latent_tree_classifier.jsonnet"
OTHERS = {
    "selection": {"type": "k_subset", "k": 2},
    "labels": {"type": "linear_chain"},
    "graph_network": {"type": "nonprojective_tree"},
    "latent_class": {"type": "linear_chain"},
}


def build(vocab: Vocabulary, **changes) -> Model:
    params = Params.from_file(str(CONFIG)).as_dict()["model"]
    torch.manual_seed(1)
    return Model.from_params(Params(deepcopy({**params, **changes})), vocab=vocab)


def over(composition: str, method: str = "spigot") -> dict:
    encoder = {"type": "bag_of_embeddings", "embedding_dim": {"selection": 6, "labels": 56}.get(composition, 100)}
    return {
        "composition": {"type": composition},
        "seq2vec_encoder": encoder,
        "intermediate": {"type": method, "structure": OTHERS[composition]},
    }


def tensors(model: Model, instances) -> dict:
    batch = Batch(instances)
    batch.index_instances(model.vocab)
    return batch.as_tensor_dict()


def sentences_of(*latent_classes: str | None) -> list:
    """The same sentence, with each of these as its true class."""
    reader, columns = SentimentReader(), (["x", "y"], ["X", "X"], ["x", "y"])
    instances = [reader.text_to_instance(*columns, label="0", latent_class=one) for one in latent_classes]
    for instance in instances:
        reader.apply_token_indexers(instance)
    return instances


@pytest.fixture
def pairs() -> list:
    reader = SentimentReader()
    first, second = (["a", "dog", "runs"], ["it", "moves"])
    instances = [
        reader.text_to_instance(
            first, first, first, label, heads=[2, 3, 0], hypothesis=TaggedSentence(second, second, second)
        )
        for label in ("yes", "no")
    ]
    for instance in instances:
        reader.apply_token_indexers(instance)
    return instances


class TestLatentTreeClassifier(ModelTestCase):
    def setup_method(self):
        super().setup_method()
        params = Params.from_file(str(CONFIG))
        self.instances = list(DatasetReader.from_params(params["dataset_reader"]).read(params["train_data_path"]))[:5]
        self.vocab, self.dataset = Vocabulary.from_instances(self.instances), Batch(self.instances)
        self.model = build(self.vocab)
        self.dataset.index_instances(self.vocab)

    def test_trains_saves_and_loads(self):
        train_model_from_file(CONFIG, self.TEST_DIR / "output")
        metrics = json.loads((self.TEST_DIR / "output" / "metrics.json").read_text())
        assert {"best_validation_accuracy", "best_validation_uas"} <= metrics.keys()
        predictor = Predictor.from_archive(load_archive(self.TEST_DIR / "output" / "model.tar.gz"))
        tokens = ["[MAX", "1", "2", "]"]
        (output,) = predictor.predict_batch_json([{"tokens": tokens, "tags": tokens, "lemmas": tokens}])
        assert output["heads"].count(0) == 1 and len(output["heads"]) == 4
        assert output["label"] in output["probabilities"]
        assert sum(output["probabilities"].values()) == pytest.approx(1)

    def test_batch_predictions_are_consistent(self):
        self.ensure_batch_predictions_are_consistent(["loss", "mask", "chosen", "arc_weights"])

    @pytest.mark.parametrize("method", ["spigot", "straight_through", "structured_attention", "spigot_ce", "sparsemap"])
    @pytest.mark.parametrize("composition", OTHERS)
    def test_loss_reaches_the_scorer(self, composition, method):
        model = build(self.vocab, **over(composition, method))
        model(**tensors(model, self.instances))["loss"].backward()
        scorer = getattr(model.composition, "arc_scorer", None) or model.composition.scorer
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in scorer.parameters())
        assert any(weight.grad.abs().sum() > 0 for weight in scorer.parameters())

    @pytest.mark.parametrize(
        "composition, name, values", [("selection", "selected", range(1, 99)), ("labels", "latent_labels", range(5))]
    )
    def test_other_structures_are_readable(self, composition, name, values):
        model = build(self.vocab, **over(composition)).eval()
        outputs = model.forward_on_instances(self.instances)
        for output, instance in zip(outputs, self.instances, strict=True):
            size = len(instance["metadata"]["tokens"])
            assert len(output[name]) == (2 if composition == "selection" else size)
            assert set(output[name]) <= set(values)
        assert model.get_metrics().keys() == {"accuracy"}

    def test_a_latent_class_is_a_number_and_what_the_classifier_reads(self):
        model = build(self.vocab, **over("latent_class")).eval()
        torch.nn.init.zeros_(model.composition.scorer.weight)
        for latent_class in range(3):
            model.composition.scorer.bias.data = torch.eye(3)[latent_class]
            (output,) = model.forward_on_instances(self.instances[:1])
            assert output["latent_class"] == latent_class
            assert output["arc_weights"] == [[0, 0, latent_class, 1.0]]
            alone = model.composition.layers.weight.clone()
            model.composition.layers.weight.data[100 * latent_class : 100 * (latent_class + 1)] = 0
            assert model.forward_on_instances(self.instances[:1])[0]["logits"] != pytest.approx(output["logits"])
            model.composition.layers.weight.data = alone

    def test_true_latent_classes_are_measured_whatever_their_names(self):
        instances = sentences_of("a", "b", "b", "c")
        model = build(Vocabulary.from_instances(instances), **over("latent_class"))
        chosen = iter([[2, 0, 0, 1], [0, 0, 0, 0]])

        def choose(scores, mask, loss_at=None):
            z = torch.zeros_like(scores)
            z[torch.arange(len(z)), 0, 0, next(chosen)] = 1
            return z

        model.intermediate.take = choose
        batch = tensors(model, instances)
        without = {name: field for name, field in batch.items() if name != "latent_class"}
        loss = model(**batch)["loss"]
        assert model.get_metrics(reset=True)["v_measure"] == pytest.approx(1.0)
        assert "v_measure" not in model.get_metrics()
        model(**batch)
        assert model.get_metrics(reset=True)["v_measure"] == pytest.approx(0.0)
        chosen = iter([[2, 0, 0, 1]])
        assert model(**without)["loss"] == loss and "v_measure" not in model.get_metrics()

    def test_true_latent_classes_of_other_data_than_the_training_data_has(self):
        known, other, plain = sentences_of("a", "z", None)
        model = build(Vocabulary.from_instances([known]), **over("latent_class")).eval()
        model(**tensors(model, [known, other]))
        assert model.get_metrics()["v_measure"] == 0.0  # two classes, of which one is chosen for both
        model = build(Vocabulary.from_instances([plain]), **over("latent_class")).eval()
        other.indexed = False
        model(**tensors(model, [other]))
        assert model.get_metrics().keys() == {"accuracy"}

    def test_a_latent_class_does_not_depend_on_the_batch(self):
        self.model = build(self.vocab, **over("latent_class"))
        self.ensure_batch_predictions_are_consistent(["loss", "mask", "chosen", "arc_weights"])

    def test_gold_trees_are_measured_and_with_a_loss_learnt(self):
        batch = tensors(self.model, self.instances)
        unsupervised = self.model(**batch)["loss"]
        assert 0 <= self.model.get_metrics(reset=True)["uas"] <= 1
        model = build(self.vocab, tree_loss={"type": "head_selection"}, tree_loss_weight=0.5)
        model.load_state_dict(self.model.state_dict())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        assert model(**batch)["loss"] > unsupervised
        for _ in range(60):
            optimizer.zero_grad()
            model(**batch)["loss"].backward()
            optimizer.step()
        model.get_metrics(reset=True)
        model(**batch)
        assert model.get_metrics()["uas"] > 0.9

    def test_pairs(self, pairs):
        model = build(Vocabulary.from_instances(pairs), is_pair=True).eval()
        outputs = model.forward_on_instances(pairs)
        assert len(outputs[0]["heads"]) == 3 and len(outputs[0]["hypothesis_heads"]) == 2
        model.train()
        model(**tensors(model, pairs))["loss"].backward()
        assert model.composition.arc_scorer.weight.grad.abs().sum() > 0
        with pytest.raises(ConfigurationError, match="is_pair is true: expected a pair"):
            model(**tensors(model, self.instances))

    def test_second_structure_of_a_pair_is_that_of_its_sentence_alone(self, pairs):
        model = build(Vocabulary.from_instances(pairs), is_pair=True).eval()
        batch = tensors(model, pairs)
        swapped = {**batch, "tokens": batch["hypothesis"], "hypothesis": batch["tokens"], "tree": None}
        first, second = model(**batch), model(**swapped)
        torch.testing.assert_close(first["chosen"], second["hypothesis_chosen"])
        torch.testing.assert_close(first["hypothesis_chosen"], second["chosen"])

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"composition": {"type": "selection"}}, "whose cells are positions, for the composition selection"),
            ({**over("selection"), "tree_loss": {"type": "head_selection"}}, "tree_loss needs a structure of heads"),
        ],
    )
    def test_parts_that_do_not_fit(self, changes, message):
        with pytest.raises(ConfigurationError, match=message):
            build(self.vocab, **changes)

    def test_without_labels(self):
        with pytest.raises(ConfigurationError, match="no labels"):
            build(Vocabulary())
