from collections.abc import Iterator
from typing import Any, Optional

import torch
from allennlp.common import Registrable
from torch.nn.functional import linear


class PairScorer(torch.nn.Module, Registrable):
    """
    Scores every ordered pair of tokens: arcs, or arcs with labels.

    # Parameters

    input_dim : `int`
        The width of the token vectors. Models fill it in from their encoder.
    num_labels : `int`, optional (default = `None`)
        The number of scores per pair. Without it there is one score, and its axis is left out.
    hidden_dim : `int`, optional (default = `100`)
    dropout : `float`, optional (default = `0.0`)

    Parameters of the scorer itself (not of its layers) have one row per label, so that they can be matched by label
    when a model starts from an archive whose labels stand in another order.
    """

    default_implementation = "mlp"

    def __init__(self, input_dim: int, num_labels: Optional[int] = None, hidden_dim: int = 100, dropout: float = 0.0):
        super().__init__()
        self.num_labels = num_labels
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """
        # Parameters

        rows, columns : `torch.Tensor`
            `(batch, length, input_dim)`: the same tokens in their two parts, modifier and head of a tree, predicate
            and argument of a graph.

        # Returns

        `torch.Tensor`
            `(batch, length, length)`, or `(batch, length, length, num_labels)`; `[b, i, j]` scores the pair of
            `rows[b, i]` and `columns[b, j]`.
        """
        scores = self._score(rows, columns)
        return scores.squeeze(-1) if self.num_labels is None else scores

    def _score(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


@PairScorer.register("mlp")
class MlpPairScorer(PairScorer):
    """
    `v . tanh(W2 tanh(W_row x_i + W_column x_j + b1) + b2)`, the scorer of
    [Peng, Thomson and Smith (2018)](https://aclanthology.org/P18-1173/), section 4.

    Memory: the scores and, of arcs, up to 32 MiB of what is hidden. The rest of that is computed anew in the backward
    pass, and only of pairs whose scores have a gradient; few labels have one. With dropout, six tensors of
    `(batch, length, length, hidden_dim)` stay instead. No second derivatives.
    """

    def __init__(self, input_dim: int, num_labels: Optional[int] = None, hidden_dim: int = 100, dropout: float = 0.0):
        super().__init__(input_dim, num_labels, hidden_dim, dropout)
        self.row_layer = torch.nn.Linear(input_dim, hidden_dim)
        self.column_layer = torch.nn.Linear(input_dim, hidden_dim, bias=False)
        self.pair_layer = torch.nn.Linear(hidden_dim, hidden_dim)
        self.weight = torch.nn.Parameter(torch.empty(num_labels or 1, hidden_dim))
        torch.nn.init.xavier_uniform_(self.weight)

    def _score(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        rows, columns = self.row_layer(rows), self.column_layer(columns)
        # Under autocast the layers give another dtype than that of the weights.
        layers = [weight.to(rows.dtype) for weight in (*self.pair_layer.parameters(), self.weight)]
        if not self.training or not self.dropout.p:
            return _PairMlp.apply(rows, columns, *layers)
        # Shape: (batch, length, length, hidden_dim)
        hidden = torch.tanh_(rows.unsqueeze(2) + columns.unsqueeze(1))
        hidden = torch.tanh_(linear(self.dropout(hidden), *layers[:2]))
        return linear(self.dropout(hidden), layers[2])


@PairScorer.register("biaffine")
class BiaffinePairScorer(PairScorer):
    """
    `[h_i; 1] U_l [h_j; 1]` over `h_i = elu(W_row x_i)` and `h_j = elu(W_column x_j)`, the scorer of
    [Dozat and Manning (2017)](https://arxiv.org/abs/1611.01734), section 3.
    """

    def __init__(self, input_dim: int, num_labels: Optional[int] = None, hidden_dim: int = 100, dropout: float = 0.0):
        super().__init__(input_dim, num_labels, hidden_dim, dropout)
        self.row_layer = torch.nn.Linear(input_dim, hidden_dim)
        self.column_layer = torch.nn.Linear(input_dim, hidden_dim)
        self.weight = torch.nn.Parameter(torch.empty(num_labels or 1, hidden_dim + 1, hidden_dim + 1))
        torch.nn.init.normal_(self.weight, std=hidden_dim**-1.0)

    def _score(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        rows = self._with_one(self.dropout(torch.nn.functional.elu(self.row_layer(rows))))
        columns = self._with_one(self.dropout(torch.nn.functional.elu(self.column_layer(columns))))
        return torch.einsum("bix,lxy,bjy->bijl", rows, self.weight, columns)

    @staticmethod
    def _with_one(hidden: torch.Tensor) -> torch.Tensor:
        return torch.cat([hidden, torch.ones_like(hidden[..., :1])], dim=-1)


_KEPT_VALUES = 2**22
"""Of each hidden layer of arcs, how many values are kept for the backward pass: 16 MiB in float32."""


class _PairMlp(torch.autograd.Function):
    """`v . tanh(W tanh(rows[b, i] + columns[b, j]) + bias)` of every pair, a few thousand pairs at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: torch.Tensor,
        columns: torch.Tensor,
        pair_weight: torch.Tensor,
        pair_bias: torch.Tensor,
        weight: torch.Tensor,
    ) -> torch.Tensor:
        batch, length, _ = rows.shape
        scores = rows.new_empty(batch * length * length, len(weight))
        size, kept = _chunk_size(rows), []
        for start in range(0, len(scores), size):
            chunk = scores[start : start + size]
            pairs = torch.arange(start, start + len(chunk), device=rows.device)
            hidden = _hidden(pairs, rows, columns, pair_weight, pair_bias)
            torch.mm(hidden[-1], weight.T, out=chunk)
            # Nearly every arc has a gradient, so what is hidden of it will be needed again.
            if len(weight) == 1 and (start + len(chunk)) * rows.size(-1) <= _KEPT_VALUES:
                kept.extend(hidden)
        ctx.save_for_backward(rows, columns, pair_weight, pair_bias, weight, *kept)
        return scores.view(batch, length, length, len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        inputs, kept = ctx.saved_tensors[:5], ctx.saved_tensors[5:]
        rows, _, pair_weight, _, weight = inputs
        # Sums over chunks are kept in float32 at least. Rows and columns: (batch * length, hidden_dim)
        dtype = torch.promote_types(rows.dtype, torch.float32)
        sums = [torch.zeros_like(tensor, dtype=dtype) for tensor in inputs]
        d_rows, d_columns, d_pair_weight, d_pair_bias, d_weight = sums
        # Shape: (batch * length * length, num_labels)
        d_scores = d_scores.flatten(0, 2)
        for d_output, (row, column, first, second) in _chunks(d_scores, inputs, kept):
            d_weight += d_output.T @ second
            # Through tanh: its derivative is 1 - tanh^2.
            d_second = d_output @ weight
            d_second.addcmul_(d_second, second.square(), value=-1)
            d_pair_bias += d_second.sum(dim=0)
            d_pair_weight += d_second.T @ first
            d_first = d_second @ pair_weight
            d_first = d_first.addcmul_(d_first, first.square(), value=-1).to(dtype)
            d_rows.flatten(0, 1).index_add_(0, row, d_first)
            d_columns.flatten(0, 1).index_add_(0, column, d_first)
        return tuple(total.to(rows.dtype) for total in sums)


def _chunks(
    d_scores: torch.Tensor, inputs: tuple[torch.Tensor, ...], kept: tuple[torch.Tensor, ...]
) -> Iterator[tuple[torch.Tensor, tuple[torch.Tensor, ...]]]:
    """The gradient of some pairs' scores, and what `_hidden` returns of them, kept from the forward pass or anew."""
    start = 0
    for first in range(0, len(kept), 4):
        hidden = kept[first : first + 4]
        stop = start + len(hidden[0])
        yield d_scores[start:stop], hidden
        start = stop
    if start == len(d_scores):
        return
    others = start + (d_scores[start:] != 0).any(dim=1).nonzero().squeeze(1)
    for pairs in others.split(_chunk_size(inputs[0])):
        yield d_scores.index_select(0, pairs), _hidden(pairs, *inputs[:4])


def _chunk_size(rows: torch.Tensor) -> int:
    """As many pairs at a time as a CPU's cache can hold the hidden layers of; a GPU prefers more."""
    return max(1, (2**18 if rows.is_cpu else 2**26) // rows.size(-1))


def _hidden(
    pairs: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor, pair_weight: torch.Tensor, pair_bias: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Of pairs, numbered over the batch: where their rows and columns are, `(pairs,)`, and both hidden layers."""
    length = rows.size(1)
    row = pairs // length
    column = row // length * length + pairs % length
    first = _tanh_(rows.flatten(0, 1).index_select(0, row).add_(columns.flatten(0, 1).index_select(0, column)))
    return row, column, first, _tanh_(torch.addmm(pair_bias, first, pair_weight.T))


def _tanh_(values: torch.Tensor) -> torch.Tensor:
    if values.is_cpu and values.dtype == torch.float32:
        # Equal to 1e-7 or so, in a fourth of the time that torch's own tanh takes.
        return values.mul_(2).sigmoid_().sub_(0.5).mul_(2)
    return values.tanh_()
