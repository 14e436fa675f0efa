import pytest
import torch
from allennlp.common import Params
from torch.nn.functional import elu

from spigot_allennlp.modules import BiaffinePairScorer, MlpPairScorer, PairScorer


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", PairScorer.list_available())
@pytest.mark.parametrize("num_labels", [None, 1, 4])
def test_shapes(name, num_labels):
    scorer = PairScorer.from_params(Params({"type": name, "hidden_dim": 3}), input_dim=5, num_labels=num_labels)
    scores = scorer(torch.randn(2, 6, 5), torch.randn(2, 6, 5))
    assert scores.shape == ((2, 6, 6) if num_labels is None else (2, 6, 6, num_labels))


def test_mlp_is_its_formula():
    scorer = MlpPairScorer(input_dim=5, num_labels=4, hidden_dim=3)
    rows, columns = torch.randn(1, 3, 5), torch.randn(1, 3, 5)
    scores = scorer(rows, columns)
    for i in range(3):
        for j in range(3):
            hidden = torch.tanh(
                scorer.row_layer.weight @ rows[0, i]
                + scorer.column_layer.weight @ columns[0, j]
                + scorer.row_layer.bias
            )
            hidden = torch.tanh(scorer.pair_layer.weight @ hidden + scorer.pair_layer.bias)
            torch.testing.assert_close(scores[0, i, j], scorer.weight @ hidden)


def test_biaffine_is_its_formula():
    scorer = BiaffinePairScorer(input_dim=5, num_labels=4, hidden_dim=3)
    rows, columns = torch.randn(1, 3, 5), torch.randn(1, 3, 5)
    scores = scorer(rows, columns)
    one = torch.ones(1)
    for i in range(3):
        for j in range(3):
            row = torch.cat([elu(scorer.row_layer(rows[0, i])), one])
            column = torch.cat([elu(scorer.column_layer(columns[0, j])), one])
            for label in range(4):
                torch.testing.assert_close(scores[0, i, j, label], row @ scorer.weight[label] @ column)


@pytest.mark.parametrize("name", PairScorer.list_available())
def test_dropout_acts_in_training_only(name):
    scorer = PairScorer.from_params(Params({"type": name, "dropout": 0.5}), input_dim=5)
    vectors = torch.randn(1, 4, 5)
    assert not torch.equal(scorer(vectors, vectors), scorer(vectors, vectors))
    scorer.eval()
    assert torch.equal(scorer(vectors, vectors), scorer(vectors, vectors))
