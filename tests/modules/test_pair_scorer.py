import weakref

import pytest
import torch
from allennlp.common import Params
from torch.nn.functional import elu

from spigot_allennlp.modules import BiaffinePairScorer, MlpPairScorer, PairScorer
from spigot_allennlp.modules.pair_scorer import _hidden, _PairMlp


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
    scores = torch.tanh(scorer.pair_layer(hidden)) @ scorer.weight.T
    return scores.squeeze(-1) if scorer.num_labels is None else scores


def mlp_with_vectors(num_labels=4, batch=2, length=50):
    """A scorer and its two inputs, by default of 5,000 pairs; 2,048 of them are scored at a time."""
    rows, columns = torch.randn(2, batch, length, 5, requires_grad=True).unbind()
    return MlpPairScorer(input_dim=5, num_labels=num_labels, hidden_dim=128), rows, columns


def gradients(scores, d_scores, scorer, rows, columns, **options):
    return torch.autograd.grad(scores, [rows, columns, *scorer.parameters()], d_scores, **options)


def of_a_share(scores, share):
    """A gradient of so many pairs' scores."""
    d_scores = torch.randn_like(scores)
    d_scores[torch.rand(scores.shape[:3]) >= share] = 0
    return d_scores


def check_gradient(d_scores, scores, expected, *inputs):
    for one, other in zip(gradients(scores, d_scores, *inputs), gradients(expected, d_scores, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", [1.0, 0.6, 0.4, 0.01, 0.0])
@pytest.mark.parametrize("num_labels", [None, 4])
def test_mlp_has_the_gradient_of_its_formula(num_labels, share):
    """Whatever share of the pairs has one."""
    scorer, rows, columns = mlp_with_vectors(num_labels)
    scores, expected = scorer(rows, columns), plain_mlp(scorer, rows, columns)
    torch.testing.assert_close(scores, expected)
    d_scores = of_a_share(scores, share)
    assert d_scores.any() == (share > 0)
    check_gradient(d_scores, scores, expected, scorer, rows, columns)


@pytest.mark.parametrize(("batch", "length", "chunk"), [(7, 10, 250), (2, 50, 2048), (1, 70, 64)])
@pytest.mark.parametrize("num_labels", [None, 4])
def test_mlp_works_through_blocks(monkeypatch, num_labels, batch, length, chunk):
    """Of several sentences, of which the last has fewer; of parts of a sentence; of single tokens."""
    monkeypatch.setattr("spigot_allennlp.modules.pair_scorer._chunk_size", lambda rows: chunk)
    scorer, rows, columns = mlp_with_vectors(num_labels, batch, length)
    scores, expected = scorer(rows, columns), plain_mlp(scorer, rows, columns)
    torch.testing.assert_close(scores, expected)
    d_scores = of_a_share(scores, 0.9)
    # Some blocks have fewer.
    d_scores[0, : length // 2, 3:] = 0
    check_gradient(d_scores, scores, expected, scorer, rows, columns)


@pytest.mark.parametrize("num_labels", [None, 4])
def test_mlp_has_the_same_gradient_again(num_labels):
    inputs = mlp_with_vectors(num_labels)
    scores = inputs[0](*inputs[1:])
    d_scores = of_a_share(scores, 0.9)
    first = gradients(scores, d_scores, *inputs, retain_graph=True)
    for one, other in zip(first, gradients(scores, d_scores, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("num_labels", [1, 4])
def test_rows_may_lie_in_memory_as_they_like(num_labels):
    inputs = [
        torch.randn(30, 3, 8),
        torch.randn(30, 3, 8),
        torch.randn(8, 8),
        torch.randn(8),
        torch.randn(num_labels, 8),
    ]

    def d_inputs(change):
        given = [tensor.clone().requires_grad_() for tensor in inputs]
        scores = _PairMlp.apply(*(change(tensor) if tensor.dim() == 3 else tensor for tensor in given))
        return torch.autograd.grad((scores * torch.arange(len(scores.flatten())).view_as(scores)).sum(), given)

    same, transposed = (lambda tensor: tensor), lambda tensor: tensor.transpose(0, 1).contiguous().transpose(0, 1)
    for one, other in zip(d_inputs(transposed), d_inputs(same), strict=True):
        torch.testing.assert_close(one, other)


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


@pytest.mark.parametrize("num_labels", [None, 4])
def test_mlp_spreads_what_is_not_a_number(num_labels):
    """So that the trainer sees it."""
    scorer, rows, columns = mlp_with_vectors(num_labels)
    rows = rows.detach().index_put((torch.tensor(0), torch.tensor(3), torch.tensor(1)), torch.tensor(torch.nan))
    is_nan = scorer(rows, columns).isnan()
    assert is_nan[0, 3].all() and is_nan.sum() == is_nan[0, 3].numel()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("num_labels", [None, 4])
def test_mlp_in_half_precision(num_labels, dtype):
    scorer, rows, columns = mlp_with_vectors(num_labels)
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
    inputs = mlp_with_vectors(num_labels=None)
    monkeypatch.setattr("spigot_allennlp.modules.pair_scorer._KEPT_VALUES", 0)
    _, least = kept_for_backward(*inputs)
    monkeypatch.setattr("spigot_allennlp.modules.pair_scorer._KEPT_VALUES", limit * 128)
    scores, kept = kept_for_backward(*inputs)
    assert sum(kept) - sum(least) == kept_pairs * 2 * 128
    check_gradient(of_a_share(scores, 0.9), scores, plain_mlp(*inputs), *inputs)


def test_mlp_keeps_nothing_where_there_is_no_backward_pass(monkeypatch):
    alive, most = weakref.WeakSet(), []

    def watched(*arguments):
        layers = _hidden(*arguments)
        alive.update(layers)
        most.append(len(alive))
        return layers

    monkeypatch.setattr("spigot_allennlp.modules.pair_scorer._hidden", watched)
    scorer, rows, columns = mlp_with_vectors(num_labels=None, batch=3)
    scorer(rows, columns)
    assert max(most) == 12
    alive.clear(), most.clear()
    with torch.no_grad():
        scorer(rows, columns)
    # Those of a block and of the one before.
    assert max(most) == 4


@pytest.mark.parametrize(("batch", "length"), [(0, 4), (2, 0)])
@pytest.mark.parametrize("num_labels", [None, 3])
def test_nothing_has_no_scores(num_labels, batch, length):
    rows = torch.randn(batch, length, 5, requires_grad=True)
    scores = MlpPairScorer(input_dim=5, num_labels=num_labels, hidden_dim=4)(rows, rows)
    assert scores.shape == (batch, length, length, *[3] * (num_labels is not None))
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
