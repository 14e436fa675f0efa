import pytest
import torch

from spigot_allennlp.nn.linear_chain import (
    best_label_sequence,
    chain_log_partition,
    chain_marginals,
    chain_parts,
)

FUNCTIONS = [best_label_sequence, chain_log_partition, chain_marginals]


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_the_first_token_has_previous_label_zero():
    mask = torch.tensor([[True, True, True], [False, True, True]])
    z = best_label_sequence(random(2, 3, 4, 4), mask)
    assert z[0, 0, 0].sum() == 1 and not z[0, 0, 1:].any()
    assert z[1, 1, 0].sum() == 1 and not z[1, 1, 1:].any() and not z[1, 0].any()


def test_each_token_continues_where_the_one_before_ended():
    mask = torch.tensor([True, False, True, True, False, True]).expand(30, 6)
    tokens = best_label_sequence(random(30, 6, 3, 3), mask)[:, mask[0]]
    labels = tokens.sum(2)
    assert torch.equal(labels.sum(2), torch.ones(30, 4, dtype=torch.double))
    assert torch.equal(tokens[:, 1:].sum(3), labels[:, :-1])
    assert not best_label_sequence(random(30, 6, 3, 3), mask)[:, ~mask[0]].any()


def test_parts():
    parts = chain_parts(torch.zeros(1, 3, 2, 2), torch.tensor([[False, True, True]]))[0]
    assert parts.tolist() == [[[False] * 2] * 2, [[True] * 2, [False] * 2], [[True] * 2] * 2]


def test_independent_labels_are_softmaxes():
    """Where the score does not depend on the previous label, the tokens do not know of each other."""
    unary = random(5, 7, 4)
    scores = unary.unsqueeze(2).expand(-1, -1, 4, -1)
    mask = torch.ones(5, 7, dtype=torch.bool)
    torch.testing.assert_close(chain_log_partition(scores, mask), unary.logsumexp(2).sum(1))
    torch.testing.assert_close(chain_marginals(scores, mask).sum(2), unary.softmax(2))
    assert torch.equal(best_label_sequence(scores, mask).sum(2).argmax(2), unary.argmax(2))


def test_long_sentences_lose_nothing():
    """Transfer matrices, rescaled as they are multiplied, against sums of logs."""
    scores = 5 * random(2, 800, 3, 3)
    mask = torch.ones(2, 800, dtype=torch.bool)
    state = torch.tensor([1.0, 0, 0]).double().expand(2, 3).unsqueeze(1)
    log_scale = torch.zeros(2, dtype=torch.double)
    for matrix in scores.exp().unbind(1):
        state = state @ matrix
        log_scale += state.sum((1, 2)).log()
        state = state / state.sum((1, 2), keepdim=True)
    torch.testing.assert_close(chain_log_partition(scores, mask), log_scale)
    torch.testing.assert_close(chain_log_partition(scores.float(), mask), log_scale.float())
    marginals = chain_marginals(scores, mask)
    torch.testing.assert_close(marginals.sum((2, 3)), torch.ones(2, 800, dtype=torch.double))
    torch.testing.assert_close(marginals[:, 1:].sum(3), marginals[:, :-1].sum(2))


def test_forbidden_transitions():
    """Label 1 may not follow label 1, and has to start."""
    scores = random(10, 5, 2, 2)
    scores[:, :, 1, 1] = -torch.inf
    scores[:, 0, 0, 0] = -torch.inf
    mask = torch.ones(10, 5, dtype=torch.bool)
    z = best_label_sequence(scores, mask)
    assert not z[:, :, 1, 1].any() and (z[:, 0, 0, 1] == 1).all()
    marginals = chain_marginals(scores.requires_grad_(), mask)
    assert not marginals[:, :, 1, 1].any()
    (gradient,) = torch.autograd.grad(marginals[:, 2, 0, 0].sum(), scores)
    assert gradient.isfinite().all() and gradient.any()
    impossible = scores.detach().clone()
    impossible[7, 2] = -torch.inf
    for function in FUNCTIONS:
        with pytest.raises(ValueError, match="sentence 7 has no legal structure"):
            function(impossible, mask)


@pytest.mark.parametrize("function", [*FUNCTIONS, chain_parts])
@pytest.mark.parametrize(
    "scores, mask",
    [
        (torch.zeros(2, 3, 4, 5), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)),
        (torch.zeros(2, 3, 4, 4), torch.ones(2, 4, dtype=torch.bool)),
        (torch.zeros(2, 3, 4, 4), torch.ones(2, 3)),
        (torch.zeros(2, 3, 4, 4, dtype=torch.long), torch.ones(2, 3, dtype=torch.bool)),
    ],
)
def test_wrong_shapes_and_dtypes(function, scores, mask):
    with pytest.raises(ValueError, match="must be"):
        function(scores, mask)
