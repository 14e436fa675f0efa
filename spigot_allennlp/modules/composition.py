from typing import Optional

import torch
from allennlp.common import Lazy, Registrable

from spigot_allennlp.checks import whole
from spigot_allennlp.modules.pair_scorer import PairScorer
from spigot_allennlp.nn.arcs import at_least_one


class Composition(torch.nn.Module, Registrable):
    """
    What a classifier does with a latent structure: scores its parts, and makes vectors of tokens that have read it.
    """

    default_implementation = "graph_network"
    cells: str
    """What the cells of the structure must be, as [`Structure.cells`](../structures/structure.md) calls them."""

    output_dim: int
    """The width of the result."""

    is_of_sentence = False
    """Whether the structure is of ROOT alone, which stands for the sentence and is scored by the mean of all tokens."""

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        """The scores of the parts, in the form that the structure takes, of tokens `(batch, length, score_dim)`."""
        raise NotImplementedError

    def parts_mask(self, mask: torch.Tensor) -> torch.Tensor:
        """
        The mask that goes with them, `(batch, length)` bool; of structures without ROOT, False at position 0, and of
        those of ROOT alone, elsewhere.
        """
        is_root = torch.arange(mask.size(1), device=mask.device) == 0
        return mask & (is_root if self.is_of_sentence else ~is_root)

    def forward(self, tokens: torch.Tensor, z: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """
        # Parameters

        tokens : `torch.Tensor`
            `(batch, length, input_dim)`; position 0 is ROOT.
        z : `torch.Tensor`
            The structure, 0/1 or relaxed, of the shape of its scores.
        mask : `torch.Tensor`
            `(batch, length)` bool, True for ROOT and tokens.

        # Returns

        `torch.Tensor`
            `(batch, length, output_dim)`, differentiable by `z`.
        """
        raise NotImplementedError

    def get_output_dim(self) -> int:
        return self.output_dim


class TreeComposition(Composition):
    """
    Over trees, `(batch, length, length)`, `[modifier, head]`. Not registered.

    # Parameters

    input_dim : `int`
        The width of the tokens that are composed. The model fills it in.
    score_dim : `int`, optional (default = `input_dim`)
        The width of the tokens that are scored. The model fills it in.
    hidden_dim : `int`, optional (default = `100`)
        The width of the result.
    arc_scorer : `PairScorer`, optional (default = "mlp")
        Scores `[modifier, head]`; its `input_dim` is filled in.
    """

    cells = "heads"

    def __init__(
        self,
        input_dim: int,
        score_dim: Optional[int] = None,
        hidden_dim: int = 100,
        arc_scorer: Lazy[PairScorer] = Lazy(PairScorer),
    ) -> None:
        super().__init__()
        self.arc_scorer = arc_scorer.construct(input_dim=score_dim or input_dim)
        self.hidden_dim = self.output_dim = whole("hidden_dim of a composition", hidden_dim)

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        return self.arc_scorer(encoded, encoded)

    def parts_mask(self, mask: torch.Tensor) -> torch.Tensor:
        return mask


@Composition.register("graph_network")
class GraphNetwork(TreeComposition):
    """
    A graph convolution over the arcs, which knows their direction
    ([Marcheggiani & Titov, 2017](https://aclanthology.org/D17-1159/), without labels and gates). A layer makes of every
    token `relu(W_self h_i + W_head sum_j z[i, j] h_j + W_modifier sum_k z[k, i] h_k / max(1, sum_k z[k, i]) + b)`: it
    sees itself, its head, and the mean of its modifiers.

    Registered as a `Composition` with name "graph_network".

    # Parameters

    num_layers : `int`, optional (default = `1`)
        How many arcs far a token sees.
    dropout : `float`, optional (default = `0.0`)
        Between layers.
    kwargs
        See [`TreeComposition`](#treecomposition).
    """

    def __init__(self, input_dim: int, num_layers: int = 1, dropout: float = 0.0, **kwargs) -> None:
        super().__init__(input_dim, **kwargs)
        dims = [input_dim] + [self.hidden_dim] * (whole("num_layers of a graph_network", num_layers) - 1)
        self.token_layers = torch.nn.ModuleList(torch.nn.Linear(dim, self.hidden_dim) for dim in dims)
        self.head_layers = torch.nn.ModuleList(torch.nn.Linear(dim, self.hidden_dim, bias=False) for dim in dims)
        self.modifier_layers = torch.nn.ModuleList(torch.nn.Linear(dim, self.hidden_dim, bias=False) for dim in dims)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor, z: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        modifiers = z.transpose(1, 2)
        count = at_least_one(modifiers.sum(dim=2, keepdim=True))
        hidden = tokens
        for i, layer in enumerate(self.token_layers):
            hidden = self.dropout(hidden) if i else hidden
            from_head = torch.matmul(z, self.head_layers[i](hidden))
            from_modifiers = torch.matmul(modifiers, self.modifier_layers[i](hidden)) / count
            hidden = torch.relu(layer(hidden) + from_head + from_modifiers)
        return hidden


@Composition.register("tree_lstm")
class TreeLstm(TreeComposition):
    """
    The child-sum TreeLSTM ([Tai et al., 2015](https://aclanthology.org/P15-1150/), section 3.1): every token has a
    state that sums up what is below it, and ROOT that of the sentence.

    All tokens are updated together, as often as the deepest tree has levels, after which a tree's states are those of
    the recursion from its leaves. So mixtures of trees have states too, after as many updates as there are tokens. A
    child's forget gate looks at its head, of a mixture at the mean of its heads.

    Registered as a `Composition` with name "tree_lstm".

    # Parameters

    max_depth : `int`, optional (default = `None`)
        The most updates, so that deeper trees are cut off. By default there is no bound.
    kwargs
        See [`TreeComposition`](#treecomposition).
    """

    def __init__(self, input_dim: int, max_depth: Optional[int] = None, **kwargs) -> None:
        super().__init__(input_dim, **kwargs)
        self.max_depth = None if max_depth is None else whole("max_depth of a tree_lstm", max_depth)
        dim = self.hidden_dim
        self.token_gates = torch.nn.Linear(input_dim, 3 * dim)
        self.children_gates = torch.nn.Linear(dim, 3 * dim, bias=False)
        self.token_forget = torch.nn.Linear(input_dim, dim)
        self.child_forget = torch.nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: torch.Tensor, z: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        from_token = self.token_gates(tokens)
        # What the gate of each token sees of its head. Shape: (batch, length, hidden_dim)
        of_head = torch.matmul(z, self.token_forget(tokens))
        children = z.transpose(1, 2)
        hidden = memory = tokens.new_zeros(*tokens.shape[:2], self.hidden_dim)
        for _ in range(self._num_levels(z)):
            gates = from_token + self.children_gates(torch.matmul(children, hidden))
            input_gate, output_gate, update = gates.chunk(3, dim=-1)
            kept = torch.sigmoid(of_head + self.child_forget(hidden)) * memory
            memory = torch.sigmoid(input_gate) * torch.tanh(update) + torch.matmul(children, kept)
            hidden = torch.sigmoid(output_gate) * torch.tanh(memory)
        return hidden

    def _num_levels(self, z: torch.Tensor) -> int:
        """How many tokens, ROOT among them, the longest way up to ROOT has, at most `max_depth`."""
        most = z.size(1) if self.max_depth is None else min(z.size(1), self.max_depth)
        if not ((z == 0) | (z == 1)).all():
            return most
        heads = ancestor = z.detach().argmax(dim=2)
        levels = 2
        while levels < most and ancestor.any():
            ancestor = heads.gather(1, ancestor)
            levels += 1
        return min(levels, most)


@Composition.register("selection")
class Selection(Composition):
    """
    Over subsets of tokens, `(batch, length)`: what is not chosen is 0, as where a rationale is all that a classifier
    reads ([Lei et al., 2016](https://aclanthology.org/D16-1011/)).

    Registered as a `Composition` with name "selection".

    # Parameters

    input_dim : `int`
        The width of the tokens that are composed. The model fills it in.
    score_dim : `int`, optional (default = `input_dim`)
        The width of the tokens that are scored. The model fills it in.
    """

    cells = "positions"

    def __init__(self, input_dim: int, score_dim: Optional[int] = None) -> None:
        super().__init__()
        self.scorer = torch.nn.Linear(score_dim or input_dim, 1)
        self.output_dim = input_dim

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        return self.scorer(encoded).squeeze(-1)

    def forward(self, tokens: torch.Tensor, z: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return tokens * z.unsqueeze(-1)


@Composition.register("labels")
class LabelEmbedding(Composition):
    """
    Over label sequences, `(batch, length, labels, labels)`, `[position, previous, current]`: a token's vector is joined
    with the embedding of its latent label.

    Registered as a `Composition` with name "labels".

    # Parameters

    input_dim : `int`
        The width of the tokens that are composed. The model fills it in.
    score_dim : `int`, optional (default = `input_dim`)
        The width of the tokens that are scored. The model fills it in.
    num_labels : `int`, optional (default = `5`)
    label_dim : `int`, optional (default = `50`)
        The width of a label's embedding.
    """

    cells = "label pairs"

    def __init__(
        self, input_dim: int, score_dim: Optional[int] = None, num_labels: int = 5, label_dim: int = 50
    ) -> None:
        super().__init__()
        self.scorer = torch.nn.Linear(score_dim or input_dim, whole("num_labels of a composition", num_labels))
        self.transitions = torch.nn.Parameter(torch.zeros(num_labels, num_labels))
        self.embedding = torch.nn.Embedding(num_labels, label_dim)
        self.output_dim = input_dim + label_dim

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        labels = self.scorer(encoded)
        scores = labels.unsqueeze(2) + self.transitions
        scores[:, 1:2, 0] = labels[:, 1:2]  # nothing comes before the first token
        return scores

    def forward(self, tokens: torch.Tensor, z: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.cat([tokens, torch.matmul(z.sum(dim=2), self.embedding.weight)], dim=-1)


@Composition.register("latent_class")
class LatentClass(Composition):
    """
    Over a class of the sentence, as a sequence of one label, that of ROOT: `(batch, length, classes, classes)`, of
    which `[0, 0, class]` is read. A class says what tokens mean, `W_z h_i + b_z`, each with weights of its own. With
    averages and linear layers around it, encoder and decoder are those of
    [Mihaylova et al., 2020](https://aclanthology.org/2020.emnlp-main.171/), section 5.1.

    Registered as a `Composition` with name "latent_class".

    # Parameters

    input_dim : `int`
        The width of the tokens that are composed. The model fills it in.
    score_dim : `int`, optional (default = `input_dim`)
        The width of the tokens that are scored. The model fills it in.
    num_classes : `int`, optional (default = `3`)
    hidden_dim : `int`, optional (default = `100`)
        The width of the result.
    """

    cells = "label pairs"
    is_of_sentence = True

    def __init__(
        self, input_dim: int, score_dim: Optional[int] = None, num_classes: int = 3, hidden_dim: int = 100
    ) -> None:
        super().__init__()
        self.num_classes = whole("num_classes of a composition", num_classes)
        self.hidden_dim = self.output_dim = whole("hidden_dim of a composition", hidden_dim)
        self.scorer = torch.nn.Linear(score_dim or input_dim, num_classes)
        self.layers = torch.nn.Linear(input_dim, num_classes * hidden_dim)

    def score(self, encoded: torch.Tensor) -> torch.Tensor:
        return self.scorer(encoded).unsqueeze(2).expand(-1, -1, self.num_classes, -1)

    def forward(self, tokens: torch.Tensor, z: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        by_class = self.layers(tokens).unflatten(2, (self.num_classes, self.hidden_dim))
        return torch.einsum("bk,blkh->blh", z[:, 0].sum(dim=1), by_class)
