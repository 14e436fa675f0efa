import pytest
import torch
from allennlp.common import Params
from allennlp.common.checks import ConfigurationError
from allennlp.data import Vocabulary
from allennlp.modules.token_embedders import TokenEmbedder

from spigot_allennlp.modules import ScaledEmbedding


@pytest.fixture
def vocab():
    return Vocabulary(tokens_to_add={"words": [f"word{i}" for i in range(3000)]})


def build(vocab, **settings):
    params = Params({"type": "spigot_embedding", "embedding_dim": 50, "vocab_namespace": "words", **settings})
    return TokenEmbedder.from_params(params, vocab=vocab)


@pytest.mark.parametrize("settings, sd", [({}, 1.0), ({"sd": 0.2}, 0.2), ({"sd": 3}, 3.0)])
def test_scale_does_not_depend_on_the_size_of_the_vocabulary(vocab, settings, sd):
    torch.manual_seed(0)
    embedding = build(vocab, **settings)
    assert type(embedding) is ScaledEmbedding
    assert embedding.weight.shape == (3002, 50) and embedding.weight.requires_grad
    assert embedding.weight.std().item() == pytest.approx(sd, rel=0.02)
    assert abs(embedding.weight.mean().item()) < 0.02 * sd


def test_vectors_of_a_file_are_left_alone(vocab, tmp_path):
    (tmp_path / "vectors.txt").write_text(f"word7 {' '.join(['5.0'] * 50)}\nword8 {' '.join(['5.5'] * 50)}\n")
    embedding = build(vocab, pretrained_file=str(tmp_path / "vectors.txt"))
    index = vocab.get_token_index("word7", "words")
    assert (embedding.weight[index] == 5).all()
    others = embedding.weight[vocab.get_token_index("word9", "words") :]
    assert others.mean().item() == pytest.approx(5.25, abs=0.01) and others.std().item() == pytest.approx(
        0.25, abs=0.01
    )


def test_a_given_weight_is_left_alone():
    weight = torch.arange(6.0).view(3, 2)
    assert torch.equal(ScaledEmbedding(embedding_dim=2, num_embeddings=3, weight=weight).weight, weight)


def test_padding_stays_zero(vocab):
    embedding = build(vocab, padding_index=0)
    assert not embedding.weight[0].any() and embedding.weight[1].all()


@pytest.mark.parametrize("sd", [0, -1.0])
def test_a_scale_that_is_not_positive_is_refused(vocab, sd):
    with pytest.raises(ConfigurationError, match="sd of spigot_embedding must be a positive number, but is"):
        build(vocab, sd=sd)
