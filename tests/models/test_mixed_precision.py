"""Both pipelines under what `use_amp` and `num_gradient_accumulation_steps` do to a loss, with a GPU and without."""

import json

import pytest
import torch
from allennlp.commands.train import train_model_from_file
from allennlp.common import Params
from allennlp.data import Batch, DatasetReader, Vocabulary
from allennlp.models import Model

from tests import FIXTURES_ROOT
from tests.gpu import needs_gpu

PIPELINES = {
    "syntactic_then_semantic": FIXTURES_ROOT / "toy" / "toy.sdp",
    "semantic_then_sentiment": FIXTURES_ROOT / "sentiment" / "dev.txt",
}


@pytest.fixture(params=PIPELINES)
def pipeline(request, monkeypatch) -> tuple[Model, dict]:
    """A model without dropout, and a batch."""
    monkeypatch.chdir(FIXTURES_ROOT.parent)
    params = Params.from_file(FIXTURES_ROOT / f"{request.param}.jsonnet")
    reader_params = params["dataset_reader"]
    reader = DatasetReader.from_params(reader_params)
    if hasattr(reader, "readers"):
        reader = reader.readers["sentiment"]
    batch = Batch(list(reader.read(PIPELINES[request.param])))
    graphs = Batch(list(DatasetReader.by_name("spigot_sdp")().read(FIXTURES_ROOT / "toy" / "toy.sdp")))
    vocab = Vocabulary.from_instances([*batch.instances, *graphs.instances])
    batch.index_instances(vocab)
    torch.manual_seed(0)
    model = Model.from_params(params["model"], vocab=vocab)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "alpha"):
            module.alpha = 0.0
    return model.train(), batch.as_tensor_dict()


def gradients(model: Model, batch: dict, factor: float = 1.0) -> dict[str, torch.Tensor]:
    model.zero_grad()
    (factor * model(**batch)["loss"]).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_a_scaled_loss_has_scaled_gradients(pipeline) -> None:
    """Without the layer's knowledge of the factor, the first stage's would be clipped to next to nothing."""
    plain, scaled = gradients(*pipeline), gradients(*pipeline, factor=2.0**16)
    assert any("syntactic" in name or "semantic_parser" in name for name in plain)
    assert plain.keys() == scaled.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(scaled[name] / 2**16, gradient, rtol=1e-4, atol=1e-5)


def test_a_step_in_half_precision(pipeline) -> None:
    model, batch = pipeline
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    before = {name: p.clone() for name, p in model.named_parameters()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(**batch)["loss"]
    assert loss.dtype == torch.float32
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**8  # nothing overflowed, so the step was taken
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert any("arc_scorer" in name for name in changed)
    assert all(p.isfinite().all() for p in model.parameters())


@needs_gpu
# The scaler may leave out the first steps.
@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step")
@pytest.mark.parametrize("name", PIPELINES)
def test_use_amp_on_a_gpu(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(FIXTURES_ROOT.parent)
    trainer = {"use_amp": True, "cuda_device": 0, "num_gradient_accumulation_steps": 2, "num_epochs": 40}
    overrides = json.dumps({"trainer": trainer})
    model = train_model_from_file(FIXTURES_ROOT / f"{name}.jsonnet", tmp_path / "output", overrides=overrides)
    assert all(p.is_cuda and p.isfinite().all() for p in model.parameters())
    first, last = (json.loads((tmp_path / f"output/metrics_epoch_{epoch}.json").read_text()) for epoch in (0, 39))
    assert last["training_loss"] < 0.9 * first["training_loss"]
