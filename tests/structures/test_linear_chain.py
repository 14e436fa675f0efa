"""What is special to label sequences: how pairs join, and long sentences."""

import pytest
import torch

from spigot_allennlp.structures import LinearChain
from tests.structures.sentences import full_mask

CHAIN = LinearChain()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_the_first_token_has_previous_label_zero():
    mask = torch.tensor([[True, True, True], [False, True, True]])
    z = CHAIN.argmax(random(2, 3, 4, 4), mask)
    assert z[0, 0, 0].sum() == 1 and not z[0, 0, 1:].any()
    assert z[1, 1, 0].sum() == 1 and not z[1, 1, 1:].any() and not z[1, 0].any()


@pytest.mark.parametrize("operation", ["argmax", "marginals", "project"])
def test_each_token_continues_where_the_one_before_ended(operation):
    mask = torch.tensor([True, False, True, True, False, True]).expand(30, 6)
    tokens = getattr(CHAIN, operation)(random(30, 6, 3, 3), mask)[:, mask[0]]
    labels = tokens.sum(2)
    torch.testing.assert_close(labels.sum(2), torch.ones(30, 4, dtype=torch.double), rtol=0, atol=1e-6)
    torch.testing.assert_close(tokens[:, 1:].sum(3), labels[:, :-1], rtol=0, atol=1e-6)


def test_the_relaxation_need_not_continue():
    tokens = CHAIN.project_local(random(30, 4, 3, 3), torch.ones(30, 4, dtype=torch.bool))
    assert not torch.allclose(tokens[:, 1:].sum(3), tokens.sum(2)[:, :-1], atol=0.1)


def test_parts():
    parts = CHAIN.parts(torch.zeros(1, 3, 2, 2), torch.tensor([[False, True, True]]))[0]
    assert parts.tolist() == [[[False] * 2] * 2, [[True] * 2, [False] * 2], [[True] * 2] * 2]


def test_independent_labels_are_softmaxes():
    """Where the score does not depend on the previous label, the tokens do not know of each other."""
    unary = random(5, 7, 4)
    scores = unary.unsqueeze(2).expand(-1, -1, 4, -1)
    torch.testing.assert_close(CHAIN.log_partition(scores, full_mask(scores)), unary.logsumexp(2).sum(1))
    torch.testing.assert_close(CHAIN.marginals(scores, full_mask(scores)).sum(2), unary.softmax(2))
    assert torch.equal(CHAIN.argmax(scores, full_mask(scores)).sum(2).argmax(2), unary.argmax(2))


def test_long_sentences_lose_nothing():
    """Transfer matrices, rescaled as they are multiplied, against sums of logs."""
    scores = 5 * random(2, 800, 3, 3)
    state = torch.tensor([1.0, 0, 0]).double().expand(2, 3).unsqueeze(1)
    log_scale = torch.zeros(2, dtype=torch.double)
    for matrix in scores.exp().unbind(1):
        state = state @ matrix
        log_scale += state.sum((1, 2)).log()
        state = state / state.sum((1, 2), keepdim=True)
    torch.testing.assert_close(CHAIN.log_partition(scores, full_mask(scores)), log_scale)
    torch.testing.assert_close(CHAIN.log_partition(scores.float(), full_mask(scores)), log_scale.float())
    marginals = CHAIN.marginals(scores, full_mask(scores))
    torch.testing.assert_close(marginals.sum((2, 3)), torch.ones(2, 800, dtype=torch.double))
    torch.testing.assert_close(marginals[:, 1:].sum(3), marginals[:, :-1].sum(2))


def test_forbidden_transitions():
    """Label 1 may not follow label 1, and has to start."""
    scores = random(10, 5, 2, 2)
    scores[:, :, 1, 1] = -torch.inf
    scores[:, 0, 0, 0] = -torch.inf
    z = CHAIN.argmax(scores, full_mask(scores))
    assert not z[:, :, 1, 1].any() and (z[:, 0, 0, 1] == 1).all()
    marginals = CHAIN.marginals(scores.requires_grad_(), full_mask(scores))
    assert not marginals[:, :, 1, 1].any()
    (gradient,) = torch.autograd.grad(marginals[:, 2, 0, 0].sum(), scores)
    assert gradient.isfinite().all() and gradient.any()
