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


def plain_mlp(scorer, rows, columns):
    hidden = torch.tanh(scorer.row_layer(rows).unsqueeze(2) + scorer.column_layer(columns).unsqueeze(1))
    return torch.tanh(scorer.pair_layer(hidden)) @ scorer.weight.T


def mlp_with_vectors():
    """A scorer and its two inputs, of 5,000 pairs; 2,048 of them are scored at a time."""
    return MlpPairScorer(input_dim=5, num_labels=4, hidden_dim=128), *torch.randn(2, 2, 50, 5)


def gradients(scores, d_scores, scorer, rows, columns):
    return torch.autograd.grad(scores, [rows, columns, *scorer.parameters()], d_scores)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01, 0.0])
def test_mlp_has_the_gradient_of_its_formula(share):
    """Whatever share of the pairs has one."""
    scorer, rows, columns = mlp_with_vectors()
    rows.requires_grad_(), columns.requires_grad_()
    scores, expected = scorer(rows, columns), plain_mlp(scorer, rows, columns)
    torch.testing.assert_close(scores, expected)
    d_scores = torch.randn_like(scores) * (torch.rand(scores.shape[:3]) < share).unsqueeze(3)
    actual = gradients(scores, d_scores, scorer, rows, columns)
    assert any(gradient.any() for gradient in actual) == (share > 0)
    for one, other in zip(actual, gradients(expected, d_scores, scorer, rows, columns), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_labels", [None, 2])
def test_mlp_passes_gradcheck(num_labels):
    scorer = MlpPairScorer(input_dim=2, num_labels=num_labels, hidden_dim=3).double()
    names, weights = zip(*scorer.named_parameters(), strict=True)

    def score(rows, columns, *weights):
        return torch.func.functional_call(scorer, dict(zip(names, weights, strict=True)), (rows, columns))

    inputs = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True).unbind()
    assert torch.autograd.gradcheck(score, (*inputs, *weights))


def test_mlp_with_dropout_that_drops_nothing_is_the_same():
    """The two ways to the same scores: with dropout and, at a rate that drops nothing, without."""
    scorer, rows, columns = mlp_with_vectors()
    expected = scorer(rows, columns)
    scorer.dropout.p = 1e-12
    torch.testing.assert_close(scorer(rows, columns), expected)


def test_mlp_spreads_what_is_not_a_number():
    """So that the trainer sees it."""
    scorer, rows, columns = mlp_with_vectors()
    rows[0, 3, 1] = torch.nan
    is_nan = scorer(rows, columns).isnan()
    assert is_nan[0, 3].all() and is_nan.sum() == is_nan[0, 3].numel()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mlp_in_half_precision(dtype):
    scorer, rows, columns = mlp_with_vectors()
    rows.requires_grad_(), columns.requires_grad_()
    expected = scorer(rows, columns)
    d_scores = torch.randn_like(expected)
    with torch.autocast("cpu", dtype):
        scores = scorer(rows, columns)
    assert scores.dtype == dtype
    torch.testing.assert_close(scores.float(), expected, rtol=0.05, atol=0.05)
    actual = gradients(scores, d_scores.to(dtype), scorer, rows, columns)
    for one, other in zip(actual, gradients(expected, d_scores, scorer, rows, columns), strict=True):
        assert (one - other).norm() < 0.03 * other.norm()


def kept_for_backward(scorer, rows, columns):
    """The scores, and how many values each tensor has that waits for the backward pass."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: sizes.append(tensor.numel()) or tensor, lambda t: t):
        scores = scorer(rows, columns)
    return scores, sizes


def test_mlp_keeps_no_hidden_layers_of_labels():
    scores, kept = kept_for_backward(*mlp_with_vectors())
    assert 0 < max(kept) < scores.numel()


@pytest.mark.parametrize(("limit", "kept_pairs"), [(1999, 0), (2499, 2000), (4999, 4500), (5000, 5000)])
def test_mlp_keeps_hidden_layers_of_arcs_within_a_limit(monkeypatch, limit, kept_pairs):
    """And has the same gradient, however many are kept: blocks of 40 tokens and 10 with 50 others each, twice."""
    scorer = MlpPairScorer(input_dim=5, hidden_dim=128)
    rows, columns = torch.randn(2, 2, 50, 5, requires_grad=True).unbind()
    expected = plain_mlp(scorer, rows, columns).squeeze(-1)
    monkeypatch.setattr("spigot_allennlp.modules.pair_scorer._KEPT_VALUES", 0)
    _, least = kept_for_backward(scorer, rows, columns)
    monkeypatch.setattr("spigot_allennlp.modules.pair_scorer._KEPT_VALUES", limit * 128)
    scores, kept = kept_for_backward(scorer, rows, columns)
    assert sum(kept) - sum(least) == kept_pairs * 2 * 128
    d_scores = torch.randn_like(scores) * (torch.rand(scores.shape) < 0.9)
    actual = gradients(scores, d_scores, scorer, rows, columns)
    for one, other in zip(actual, gradients(expected, d_scores, scorer, rows, columns), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("batch", "length"), [(0, 4), (2, 0)])
def test_nothing_has_no_scores(batch, length):
    rows = torch.randn(batch, length, 5, requires_grad=True)
    scores = MlpPairScorer(input_dim=5, num_labels=3, hidden_dim=4)(rows, rows)
    assert scores.shape == (batch, length, length, 3)
    scores.sum().backward()
    assert rows.grad.shape == rows.shape


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
