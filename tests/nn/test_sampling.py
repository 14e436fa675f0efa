import numpy as np
import pytest
import torch

from spigot_allennlp.nn.kernels.random import draw, draw_from_logits, draw_option
from spigot_allennlp.nn.sampling import draw_options, draw_seeds


def test_splitmix64_draws_what_it_is_known_to_draw() -> None:
    state = np.array([1234567], np.uint64)
    # The outputs for this seed that implementations are commonly checked against.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [draw(state) for _ in expected] == [(number >> 11) * 2.0**-53 for number in expected]


def test_draws_are_uniform() -> None:
    state = np.array([7], np.uint64)
    draws = np.array([draw(state) for _ in range(20_000)])
    assert 0 <= draws.min() and draws.max() < 1
    counts = np.histogram(draws, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # 0.999 of chi-squared with 19 degrees of freedom


@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_cannot_be_is_never_drawn(place: int) -> None:
    logits = np.full(5, -np.inf)
    logits[place] = -1e5
    state = np.array([0], np.uint64)
    assert {draw_from_logits(logits, np.empty(5), state) for _ in range(100)} == {place}
    weights = np.zeros(5)
    weights[place] = 1e-300
    assert {draw_option(weights.cumsum(), state) for _ in range(100)} == {place}
    options = draw_options(torch.from_numpy(logits).expand(50, 5), 20, torch.Generator().manual_seed(0))
    assert options.shape == (20, 50) and (options == place).all()


def test_no_option_is_left() -> None:
    assert draw_from_logits(np.full(3, -np.inf), np.empty(3), np.zeros(1, np.uint64)) == -1


def test_options_have_the_probabilities_of_a_softmax() -> None:
    logits = torch.tensor([[0.0, 1.0, -torch.inf, 2.0], [500.0, 499.0, -500.0, 498.0]]).double()
    options = draw_options(logits, 20_000, torch.Generator().manual_seed(1))
    for row, drawn in zip(logits.softmax(1), options.unbind(1), strict=True):
        frequency = torch.bincount(drawn, minlength=4) / 20_000
        assert ((frequency - row).abs() <= 4 * (row * (1 - row) / 20_000).sqrt()).all()


def test_seeds_differ() -> None:
    seeds = draw_seeds(50, 20, generator=torch.Generator().manual_seed(2))
    assert seeds.dtype == torch.int64 and len(seeds.unique()) == 1000
