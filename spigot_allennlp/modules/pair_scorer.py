from typing import Optional

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

    Memory: two activations of `(batch, length, length, hidden_dim)`.
    """

    def __init__(self, input_dim: int, num_labels: Optional[int] = None, hidden_dim: int = 100, dropout: float = 0.0):
        super().__init__(input_dim, num_labels, hidden_dim, dropout)
        self.row_layer = torch.nn.Linear(input_dim, hidden_dim)
        self.column_layer = torch.nn.Linear(input_dim, hidden_dim, bias=False)
        self.pair_layer = torch.nn.Linear(hidden_dim, hidden_dim)
        self.weight = torch.nn.Parameter(torch.empty(num_labels or 1, hidden_dim))
        torch.nn.init.xavier_uniform_(self.weight)

    def _score(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        # Shape: (batch, length, length, hidden_dim)
        hidden = torch.tanh_(self.row_layer(rows).unsqueeze(2) + self.column_layer(columns).unsqueeze(1))
        hidden = torch.tanh_(self.pair_layer(self.dropout(hidden)))
        return linear(self.dropout(hidden), self.weight)


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
