import numpy as np

from spigot_allennlp.nn.kernels.exponential import exponentiate_row


def test_exponentials_are_right_to_the_last_bit_or_two():
    numbers = np.concatenate((np.linspace(-700, 700, 10_001), np.random.default_rng(0).normal(size=1000), [0.0]))
    found = numbers.copy()
    exponentiate_row(found, len(found) - 1, np.empty_like(found))
    np.testing.assert_allclose(found[:-1], np.exp(numbers[:-1]), rtol=4.5e-16)
    assert found[-1] == 0  # beyond the size
