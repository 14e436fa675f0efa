from typing import Optional

import torch
from allennlp.common import FromParams

from spigot_allennlp.nn.arcs import at_least_one


class GraphFeatures(torch.nn.Module, FromParams):
    """
    Token vectors that have seen a labelled graph: a token's own encoding, those of its heads and the roles that it
    plays, `relu(b + W_self h_i + sum_p (z[p, i] W_head h_p + sum_l z[p, i, l] W_role e_l) / max(1, k_i))`, where
    `z[p, i] = sum_l z[p, i, l]` and `k_i = sum_p z[p, i]` is the number of heads of `i`
    ([Peng, Thomson and Smith, 2018](https://aclanthology.org/P18-1173/), section 5).

    # Parameters

    input_dim : `int`
        The width of the encoded tokens. The model fills it in.
    num_labels : `int`, optional (default = `None`)
        The number of roles. The model fills it in, where there are graphs.
    hidden_dim : `int`, optional (default = `100`)
        The width of the result.
    role_dim : `int`, optional (default = `50`)
        The width of a role's embedding `e_l`.
    """

    def __init__(
        self, input_dim: int, num_labels: Optional[int] = None, hidden_dim: int = 100, role_dim: int = 50
    ) -> None:
        super().__init__()
        self.token_layer = torch.nn.Linear(input_dim, hidden_dim)
        if num_labels is not None:
            self.head_layer = torch.nn.Linear(input_dim, hidden_dim, bias=False)
            self.role_embedding = torch.nn.Embedding(num_labels, role_dim)
            self.role_layer = torch.nn.Linear(role_dim, hidden_dim, bias=False)

    def get_output_dim(self) -> int:
        return self.token_layer.out_features

    def forward(self, encoded: torch.Tensor, graph: Optional[torch.Tensor] = None) -> torch.Tensor:
        """
        # Parameters

        encoded : `torch.Tensor`
            `(batch, length, input_dim)`.
        graph : `torch.Tensor`, optional (default = `None`)
            `(batch, length, length, num_labels)`, `[predicate, argument, label]`, 0/1 or relaxed. Without it tokens are
            only what they are.

        # Returns

        `torch.Tensor`
            `(batch, length, hidden_dim)`. Where `graph` is differentiable, so is this, the count `k_i` included.
        """
        features = self.token_layer(encoded)
        if graph is not None:
            # Shape: (batch, argument, predicate)
            arcs = graph.sum(dim=3).transpose(1, 2)
            # Shape: (batch, argument, label)
            roles = graph.sum(dim=1)
            from_heads = torch.matmul(arcs, self.head_layer(encoded))
            from_roles = torch.matmul(roles, self.role_layer(self.role_embedding.weight))
            count = at_least_one(arcs.sum(dim=2, keepdim=True))
            features = features + (from_heads + from_roles) / count
        return torch.relu(features)
