"""A first stage that training may not leave too far behind."""

import copy
import json
from pathlib import Path

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Batch, DatasetReader
from allennlp.models import Model, load_archive

from spigot_allennlp.models.anchor import Anchor
from tests import FIXTURES_ROOT

FIRST_STAGE = {"syntactic_then_semantic": "syntactic_parser", "semantic_then_sentiment": "semantic_parser"}
both_pipelines = pytest.mark.parametrize("pipeline", FIRST_STAGE)


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch) -> None:
    monkeypatch.chdir(FIXTURES_ROOT.parent)


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """Of each pipeline, one from which its first stage can start."""
    folder = tmp_path_factory.mktemp("archives")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(FIXTURES_ROOT.parent)
        for pipeline in FIRST_STAGE:
            train_model_from_file(FIXTURES_ROOT / f"{pipeline}.jsonnet", folder / pipeline)
    return {pipeline: folder / pipeline / "model.tar.gz" for pipeline in FIRST_STAGE}


def overrides(pipeline: str, archive: Path, weight: float, **more) -> str:
    start = {f"model.{FIRST_STAGE[pipeline]}.pretrained_file": str(archive)}
    return json.dumps({"model.pretrained_kl_weight": weight, **start, **more})


def build(pipeline: str, archive: Path, weight: float) -> tuple[Model, dict]:
    """The pipeline, and a batch of what its second stage learns from."""
    file = FIXTURES_ROOT / f"{pipeline}.jsonnet"
    params = Params.from_file(file, overrides(pipeline, archive, weight))
    model = Model.from_params(params["model"], vocab=load_archive(archive).model.vocab)
    reader = DatasetReader.from_params(params["dataset_reader"])
    path = FIXTURES_ROOT / "toy" / "toy.sdp"
    if hasattr(reader, "readers"):
        reader, path = reader.readers["sentiment"], FIXTURES_ROOT / "sentiment" / "dev.txt"
    batch = Batch(list(reader.read(str(path))))
    batch.index_instances(model.vocab)
    return without_chance(model), batch.as_tensor_dict()


def without_chance(model: Model) -> Model:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "alpha"):
            module.alpha = 0.0
    return model.train()


@both_pipelines
def test_the_loss_is_the_divergence_from_the_pretrained_stage(pipeline, archives):
    model, batch = build(pipeline, archives[pipeline], 0.5)
    plain, _ = build(pipeline, archives[pipeline], 0.0)
    plain.load_state_dict(model.state_dict())
    stage = getattr(model, FIRST_STAGE[pipeline])
    torch.testing.assert_close(model(**batch)["loss"], plain(**batch)["loss"])  # nothing has moved
    before = stage.structure_scores(batch["tokens"]).detach()
    with torch.no_grad():
        for each in (model, plain):
            for parameter in getattr(each, FIRST_STAGE[pipeline]).parameters():
                parameter.mul_(1.5)
    now = stage.structure_scores(batch["tokens"])
    mask = batch["tokens"]["words"]["tokens"] != 0
    expected = 0.5 * stage.structure.kl(before, now, mask).sum()
    assert expected > 0.01
    torch.testing.assert_close(model(**batch)["loss"] - plain(**batch)["loss"], expected, rtol=1e-3, atol=1e-3)
    # Only the stage in training gets a gradient, and evaluation knows nothing of it.
    model.zero_grad()
    model(**batch)["loss"].backward()
    assert all(parameter.grad is None for parameter in model.anchor._pretrained.parameters())
    torch.testing.assert_close(model.eval()(**batch)["loss"], plain.eval()(**batch)["loss"])


@both_pipelines
def test_the_copy_is_no_part_of_the_model(pipeline, archives):
    model, _ = build(pipeline, archives[pipeline], 1.0)
    plain, _ = build(pipeline, archives[pipeline], 0.0)
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert len(list(model.parameters())) == len(list(plain.parameters()))
    assert model.anchor._pretrained.vocab is model.vocab and not model.anchor._pretrained.training
    assert copy.deepcopy(model).anchor.weight == 1.0


@both_pipelines
def test_it_holds_the_first_stage_back(pipeline, archives):
    """On what the second stage learns from alone, where nothing else does."""
    moved = []
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        model, batch = build(pipeline, archives[pipeline], weight)
        batch.pop("tree", None)
        stage, mask = getattr(model, FIRST_STAGE[pipeline]), batch["tokens"]["words"]["tokens"] != 0
        before = stage.structure_scores(batch["tokens"]).detach()
        optimizer = torch.optim.Adam(stage.parameters(), lr=0.003)
        for _ in range(30):
            optimizer.zero_grad()
            model(**batch)["loss"].backward()
            optimizer.step()
        now = stage.structure_scores(batch["tokens"]).detach()
        moved.append(float(stage.structure.kl(before, now, mask).sum()))
    assert moved[1] < 0.5 * moved[0], moved


def test_an_archive_is_self_contained_and_says_what_it_lacks_when_trained(tmp_path, archives):
    pipeline = "syntactic_then_semantic"
    file = FIXTURES_ROOT / f"{pipeline}.jsonnet"
    train_model_from_file(file, tmp_path / "held", overrides=overrides(pipeline, archives[pipeline], 1.0))
    model = load_archive(tmp_path / "held" / "model.tar.gz").model
    _, batch = build(pipeline, archives[pipeline], 0.0)
    assert model.eval()(**batch)["loss"] > 0
    with pytest.raises(ConfigurationError, match="needs a pretrained_file of syntactic_parser, found none"):
        model.train()(**batch)


def test_a_structure_without_sums_is_refused_by_name(archives):
    stage = build("syntactic_then_semantic", archives["syntactic_then_semantic"], 0.0)[0].syntactic_parser

    class Best(type(stage.structure)):
        def operations(self):
            return frozenset({"argmax"})

    stage.structure = Best()
    with pytest.raises(ConfigurationError, match="pretrained_kl_weight needs kl, and Best has none"):
        Anchor(stage, "syntactic_parser", 1.0)


def test_a_negative_weight_is_refused(archives):
    with pytest.raises(ConfigurationError, match="pretrained_kl_weight must be a number that is not negative"):
        build("syntactic_then_semantic", archives["syntactic_then_semantic"], -1.0)
