import pytest
import torch

from spigot_allennlp.modules import Composition, GraphNetwork, LabelEmbedding, Selection, TreeLstm
from spigot_allennlp.structures import KSubset, LinearChain, NonprojectiveTree

HEADS = [[0, 0, 1, 1, 3, 0], [0, 2, 0, 2, 0, 0]]  # a chain and branches; a shorter sentence, padded
MASK = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def trees() -> torch.Tensor:
    z = torch.nn.functional.one_hot(torch.tensor(HEADS), 6).double()
    z[:, 0] = 0
    return z * MASK.unsqueeze(2)


def tree_lstm(module: TreeLstm, tokens: torch.Tensor, heads: list[int], position: int):
    """The recursion of Tai et al. (2015), equations 2 to 8, from the leaves."""
    children = [i for i, head in enumerate(heads) if i and head == position]
    states = [tree_lstm(module, tokens, heads, child) for child in children]
    hidden = sum((h for h, _ in states), torch.zeros(module.hidden_dim, dtype=tokens.dtype))
    gates = module.token_gates(tokens[position]) + module.children_gates(hidden)
    input_gate, output_gate, update = gates.chunk(3)
    memory = input_gate.sigmoid() * update.tanh()
    for h, c in states:
        memory = memory + (module.token_forget(tokens[position]) + module.child_forget(h)).sigmoid() * c
    return output_gate.sigmoid() * memory.tanh(), memory


def test_tree_lstm_is_the_recursion():
    module = TreeLstm(input_dim=3, hidden_dim=4).double()
    tokens = torch.randn(2, 6, 3, dtype=torch.double)
    found = module(tokens, trees(), MASK)
    for sentence, length in ((0, 6), (1, 4)):
        for position in range(length):
            expected, _ = tree_lstm(module, tokens[sentence], HEADS[sentence][:length], position)
            torch.testing.assert_close(found[sentence, position], expected)


def test_tree_lstm_of_a_chain_as_long_as_the_sentence():
    module = TreeLstm(input_dim=3, hidden_dim=4).double()
    heads = [0, *range(39)]
    z = torch.nn.functional.one_hot(torch.tensor([heads]), 40).double()
    z[:, 0] = 0
    tokens = torch.randn(1, 40, 3, dtype=torch.double)
    expected, _ = tree_lstm(module, tokens[0], heads, 0)
    torch.testing.assert_close(module(tokens, z, torch.ones(1, 40, dtype=torch.bool))[0, 0], expected)
    cut = TreeLstm(input_dim=3, hidden_dim=4, max_depth=5).double()
    cut.load_state_dict(module.state_dict())
    assert not torch.allclose(cut(tokens, z, torch.ones(1, 40, dtype=torch.bool))[0, 0], expected, rtol=1e-12, atol=0)


def test_the_derivative_of_a_graph_network_at_exactly_one_modifier_is_that_with_fewer():
    module = GraphNetwork(input_dim=3, hidden_dim=64).double()
    tokens = torch.randn(1, 6, 3, dtype=torch.double)
    # A chain: every token but the last has one modifier.
    z = torch.diag_embed(torch.ones(1, 5, dtype=torch.double), offset=-1).requires_grad_()
    mask = torch.ones(1, 6, dtype=torch.bool)
    (slope,) = torch.autograd.grad(module(tokens, z, mask).sum(), z)
    direction, step = torch.rand_like(z), 1e-6
    fewer = module(tokens, z - step * direction, mask).sum()
    torch.testing.assert_close(
        (module(tokens, z, mask).sum() - fewer) / step, (slope * direction).sum(), rtol=1e-4, atol=0
    )


@pytest.mark.parametrize("num_layers", [1, 2])
def test_graph_network_sees_as_many_arcs_far_as_it_has_layers(num_layers):
    module = GraphNetwork(input_dim=3, hidden_dim=64, num_layers=num_layers).double()
    tokens = torch.randn(1, 6, 3, dtype=torch.double, requires_grad=True)
    z = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 2, 3, 4]]), 6).double()  # 0 <- 1 <- 2 <- 3 <- 4 <- 5
    z[:, 0] = 0
    (gradient,) = torch.autograd.grad(module(tokens, z, MASK[:1])[0, 2].sum(), tokens)
    seen = (gradient[0].abs().sum(1) > 0).nonzero().flatten().tolist()
    assert seen == list(range(2 - num_layers, 2 + num_layers + 1))


def test_graph_network_tells_head_and_modifier_apart():
    module = GraphNetwork(input_dim=3, hidden_dim=5).double()
    tokens = torch.randn(2, 6, 3, dtype=torch.double)
    z = trees()
    assert not torch.allclose(module(tokens, z, MASK), module(tokens, z.transpose(1, 2), MASK))


@pytest.mark.parametrize(
    "module, structure, shape",
    [
        (GraphNetwork(3, score_dim=2, hidden_dim=4, num_layers=2), NonprojectiveTree(), (2, 6, 6)),
        (TreeLstm(3, score_dim=2, hidden_dim=4), NonprojectiveTree(), (2, 6, 6)),
        (Selection(3, score_dim=2), KSubset(k=2), (2, 6)),
        (LabelEmbedding(3, score_dim=2, num_labels=4, label_dim=5), LinearChain(), (2, 6, 4, 4)),
    ],
)
def test_scores_fit_the_structure_and_the_result_is_differentiable_by_it(module, structure, shape):
    module = module.double()
    assert module.cells == structure.cells
    scores = module.score(torch.randn(2, 6, 2, dtype=torch.double))
    assert scores.shape == shape
    mask = module.parts_mask(MASK)
    z = structure.marginals(scores.detach(), mask).requires_grad_()
    tokens = torch.randn(2, 6, 3, dtype=torch.double)
    composed = module(tokens, z, MASK)
    assert composed.shape == (2, 6, module.get_output_dim())
    assert torch.autograd.gradcheck(lambda z: module(tokens, z, MASK), (z,))
    if structure.cells != "heads":
        assert not z[:, 0].any()  # ROOT is no part


def test_default():
    assert Composition.default_implementation == "graph_network"
