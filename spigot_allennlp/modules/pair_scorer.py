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

    Memory: the scores and, of arcs in training, up to 32 MiB (in float32) of what is hidden. The rest of that is
    computed anew in the backward pass, and only of pairs whose scores have a gradient; few labels have one. With
    dropout, six tensors of `(batch, length, length, hidden_dim)` stay instead. No second derivatives.
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
        scores = rows.new_empty(batch, length, length, len(weight))
        # By most losses nearly every arc has a gradient, so what is hidden of it will be needed again.
        room, kept = _KEPT_VALUES if len(weight) == 1 and ctx.needs_input_grad[0] else 0, []
        for sentences, tokens in _blocks(rows):
            sums = rows[sentences, tokens].unsqueeze(2) + columns[sentences].unsqueeze(1)
            first, second = _hidden(sums.flatten(0, 2), pair_weight, pair_bias)
            torch.mm(second, weight.T, out=scores[sentences, tokens].view(-1, len(weight)))
            room -= first.numel()
            if room >= 0:
                kept += [first, second]
        ctx.save_for_backward(rows, columns, pair_weight, pair_bias, weight, *kept)
        return scores

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_scores: torch.Tensor) -> tuple[torch.Tensor, ...]:
        inputs, kept = ctx.saved_tensors[:5], ctx.saved_tensors[5:]
        rows, columns, pair_weight, pair_bias, weight = inputs
        # Sums over blocks are kept in float32 at least.
        dtype = torch.promote_types(rows.dtype, torch.float32)
        sums = [torch.zeros(tensor.shape, dtype=dtype, device=tensor.device) for tensor in inputs]
        d_rows, d_columns, d_pair_weight, d_pair_bias, d_weight = sums

        def through(d_output: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            """From the gradient of some pairs' scores to that of what their first layer sums."""
            d_weight.add_(d_output.T @ second)
            # The derivative of tanh is 1 - tanh^2.
            d_second = d_output @ weight
            d_second.addcmul_(d_second, second.square(), value=-1)
            d_pair_bias.add_(d_second.sum(dim=0))
            d_pair_weight.add_(d_second.T @ first)
            d_first = d_second @ pair_weight
            return d_first.addcmul_(d_first, first.square(), value=-1).to(dtype)

        # Which pairs have a gradient that is still to be taken.
        left = (d_scores != 0).any(dim=3)
        for (sentences, tokens), first, second in zip(_blocks(rows), kept[::2], kept[1::2], strict=False):
            block = left[sentences, tokens]
            if 2 * block.count_nonzero() > block.numel():
                d_first = through(d_scores[sentences, tokens].flatten(0, 2), first, second).view(*block.shape, -1)
                d_rows[sentences, tokens] += d_first.sum(dim=2)
                d_columns[sentences] += d_first.sum(dim=1)
                left[sentences, tokens] = False

        length = rows.size(1)
        for pairs in left.flatten().nonzero().squeeze(1).split(_chunk_size(rows)):
            row = pairs // length
            column = row // length * length + pairs % length
            # Shape of rows and columns: (batch * length, hidden_dim)
            to_be_hidden = rows.flatten(0, 1).index_select(0, row) + columns.flatten(0, 1).index_select(0, column)
            d_output = d_scores.flatten(0, 2).index_select(0, pairs)
            d_first = through(d_output, *_hidden(to_be_hidden, pair_weight, pair_bias))
            d_rows.flatten(0, 1).index_add_(0, row, d_first)
            d_columns.flatten(0, 1).index_add_(0, column, d_first)
        return tuple(total.to(rows.dtype) for total in sums)


def _blocks(rows: torch.Tensor) -> Iterator[tuple[slice, slice]]:
    """All pairs in order: those of some sentences' tokens, or of some tokens of a sentence, with all of theirs."""
    batch, length, _ = rows.shape
    size = _chunk_size(rows)
    num_sentences, num_tokens = max(1, size // max(1, length**2)), max(1, min(length, size // max(1, length)))
    for sentence in range(0, batch, num_sentences):
        for token in range(0, length, num_tokens):
            yield slice(sentence, sentence + num_sentences), slice(token, token + num_tokens)


def _chunk_size(rows: torch.Tensor) -> int:
    """As many pairs at a time as a CPU's cache can hold the hidden layers of; a GPU prefers more."""
    return max(1, (2**18 if rows.is_cpu else 2**26) // max(1, rows.size(-1)))


def _hidden(sums: torch.Tensor, pair_weight: torch.Tensor, pair_bias: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Both hidden layers of pairs, `(pairs, hidden_dim)`, from sums of their row and column, which are overwritten."""
    first = _tanh_(sums)
    return first, _tanh_(torch.addmm(pair_bias, first, pair_weight.T))


def _tanh_(values: torch.Tensor) -> torch.Tensor:
    if values.is_cpu and values.dtype == torch.float32:
        # Equal to 1e-7 or so. PyTorch's own takes half the time of this on some CPUs, and four times as long on others.
        return values.mul_(2).sigmoid_().sub_(0.5).mul_(2)
    return values.tanh_()
