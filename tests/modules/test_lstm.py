import pytest
import torch
from allennlp.common import Params
from allennlp.modules import Seq2SeqEncoder

SIZES = {"input_size": 3, "hidden_size": 4}
LENGTHS = torch.tensor([3, 5, 1, 0, 5])


def pair(**settings):
    """The framework's encoder and ours, with the same weights."""
    torch.manual_seed(0)
    theirs, ours = (
        Seq2SeqEncoder.from_params(Params({"type": name, **SIZES, **settings})).double()
        for name in ("lstm", "spigot_lstm")
    )
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def batch(length=6):
    inputs = torch.randn(len(LENGTHS), length, 3, dtype=torch.float64, requires_grad=True)
    return inputs, torch.arange(length) < LENGTHS.unsqueeze(1)


def gradients(encoder, inputs, mask):
    torch.manual_seed(1)
    output = encoder(inputs, mask)
    weights = torch.randn_like(output)
    return output, *torch.autograd.grad((output * weights).sum(), [inputs, *encoder.parameters()])


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"bidirectional": True}, {"num_layers": 3}])
@pytest.mark.parametrize("more", [{}, {"bidirectional": True, "num_layers": 2}])
def test_results_and_gradients_are_those_of_the_framework(settings, more):
    theirs, ours = pair(**{**more, **settings})
    inputs, mask = batch()
    for expected, actual in zip(gradients(theirs, inputs, mask), gradients(ours, inputs, mask), strict=True):
        torch.testing.assert_close(actual, expected)


def test_padding_is_neither_read_nor_written():
    _, encoder = pair(bidirectional=True, num_layers=2)
    inputs, mask = batch()
    output, d_inputs, *_ = gradients(encoder, inputs, mask)
    assert not output[~mask].any() and not d_inputs[~mask].any()
    filled = inputs.masked_fill(~mask.unsqueeze(2), 100.0)
    torch.testing.assert_close(encoder(filled, mask), output)


def test_dropout_acts_between_layers_in_training_only():
    theirs, ours = pair(num_layers=2, dropout=0.5)
    inputs, mask = batch()
    assert not torch.equal(ours(inputs, mask), ours(inputs, mask))
    dropped_everywhere, _ = pair(num_layers=2)
    ours._module.dropout = 1.0
    for name, weight in dropped_everywhere.named_parameters():
        if "weight_ih_l1" in name:
            weight.data.zero_()
    torch.testing.assert_close(ours(inputs, mask), dropped_everywhere(inputs, mask))
    torch.testing.assert_close(ours.eval()(inputs, mask), theirs.eval()(inputs, mask))


def test_an_initial_state_is_heard():
    theirs, ours = pair()
    inputs, mask = batch()
    state = torch.randn(2, 1, len(LENGTHS), 4, dtype=torch.float64).unbind()
    torch.testing.assert_close(ours(inputs, mask, state), theirs(inputs, mask, state))
    assert not torch.equal(ours(inputs, mask, state), ours(inputs, mask))


def test_half_precision():
    _, encoder = pair(bidirectional=True, num_layers=2)
    inputs, mask = batch()
    expected = encoder(inputs, mask)
    encoder.float()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(encoder(inputs.float(), mask).double(), expected, rtol=0.05, atol=0.05)


class TestWidthThatIsRead:
    def test_it_is_as_if_it_was_given(self):
        torch.manual_seed(0)
        expected = Seq2SeqEncoder.from_params(Params({"type": "spigot_lstm", **SIZES, "bidirectional": True}))
        torch.manual_seed(0)
        encoder = Seq2SeqEncoder.from_params(Params({"type": "spigot_lstm", "hidden_size": 4, "bidirectional": True}))
        encoder.read(3)
        assert encoder.get_input_dim() == 3 and encoder.get_output_dim() == expected.get_output_dim() == 8
        assert encoder.state_dict().keys() == expected.state_dict().keys()
        assert all(torch.equal(weight, encoder.state_dict()[name]) for name, weight in expected.state_dict().items())

    def test_one_that_was_given_stays(self):
        encoder = Seq2SeqEncoder.from_params(Params({"type": "spigot_lstm", **SIZES}))
        before = encoder.state_dict()
        encoder.read(7)
        assert encoder.get_input_dim() == 3 and encoder.state_dict().keys() == before.keys()
