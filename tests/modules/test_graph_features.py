import pytest
import torch

from spigot_allennlp.modules import GraphFeatures

BATCH, LENGTH, LABELS, DIM = 2, 5, 3, 4


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return GraphFeatures(input_dim=DIM, num_labels=LABELS, hidden_dim=6, role_dim=2).double()


@pytest.fixture
def encoded():
    return torch.randn(BATCH, LENGTH, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def random_graph(seed=2):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-2, LABELS, (BATCH, LENGTH, LENGTH), generator=generator)
    return torch.stack([labels == label for label in range(LABELS)], dim=3).double()


def test_the_formula_token_by_token(layer, encoded):
    graph = random_graph()
    features = layer(encoded, graph)
    assert features.shape == (BATCH, LENGTH, layer.get_output_dim()) == (BATCH, LENGTH, 6)
    roles = layer.role_embedding.weight
    head_counts = set()
    for b in range(BATCH):
        for i in range(LENGTH):
            context, heads = torch.zeros(6, dtype=torch.float64), 0
            for p in range(LENGTH):
                for label in range(LABELS):
                    if graph[b, p, i, label]:
                        heads += 1
                        context = context + layer.head_layer.weight @ encoded[b, p]
                        context = context + layer.role_layer.weight @ roles[label]
            expected = torch.relu(layer.token_layer(encoded[b, i]) + context / max(1, heads))
            torch.testing.assert_close(features[b, i], expected)
            head_counts.add(heads)
    assert min(head_counts) <= 1 and max(head_counts) > 1


def test_without_a_graph_a_token_is_what_it_is(layer, encoded):
    torch.testing.assert_close(layer(encoded), torch.relu(layer.token_layer(encoded)))
    torch.testing.assert_close(layer(encoded), layer(encoded, torch.zeros_like(random_graph())))
    plain = GraphFeatures(input_dim=DIM)
    assert {name for name, _ in plain.named_parameters()} == {"token_layer.weight", "token_layer.bias"}


def test_the_derivative_by_the_graph(layer, encoded):
    # Away from the corner of the number of heads at 1.
    graph = (random_graph() * 0.3 + 0.2).requires_grad_()
    torch.testing.assert_close(graph.sum(dim=(1, 3)).min().clamp(max=1.2), torch.tensor(1.2, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda z: layer(encoded, z), graph)


def test_the_derivative_at_exactly_one_head_is_that_with_fewer(layer, encoded):
    heads = torch.arange(LENGTH).roll(1)
    graph = torch.zeros(BATCH, LENGTH, LENGTH, LABELS, dtype=torch.float64)
    graph[:, heads, torch.arange(LENGTH), 1] = 1
    (slope,) = torch.autograd.grad(layer(encoded, graph.requires_grad_()).sum(), graph)
    direction, step = torch.rand_like(graph), 1e-6
    fewer = layer(encoded, graph - step * direction).sum()
    torch.testing.assert_close(
        (layer(encoded, graph).sum() - fewer) / step, (slope * direction).sum(), rtol=1e-4, atol=0
    )
