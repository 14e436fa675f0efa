from typing import Optional

import torch
from allennlp.modules import Seq2SeqEncoder
from allennlp.modules.seq2seq_encoders import LstmSeq2SeqEncoder

from spigot_allennlp.framework.bad_input import explained


@Seq2SeqEncoder.register("spigot_lstm")
class Lstm(LstmSeq2SeqEncoder):
    """
    The framework's encoder "lstm", with the same parameters, weights and results, but faster on a CPU.

    There, PyTorch has a fast LSTM for sentences of one length alone: for others, its backward pass fills a tensor of
    the whole batch at every position. So each layer and direction reads the padded sentences here, a backward one from
    a sentence's last token on. The framework's own way is taken on a GPU and for what this one lacks, a `stateful`
    encoder or an initial state.

    Registered as a `Seq2SeqEncoder` with name "spigot_lstm".

    # Parameters

    input_size : `int`, optional (default = `None`)
        Without it, the width of what the encoder reads, which our models tell it: that of a transformer, say.
    kwargs : `Any`
        The others of "lstm".
    """

    def __init__(self, input_size: Optional[int] = None, **kwargs) -> None:
        if input_size is None:
            torch.nn.Module.__init__(self)
            self._awaited = kwargs
            return
        with explained(ValueError, by=lambda error: f"LSTM: {error}"):
            super().__init__(input_size=input_size, **kwargs)
        self._awaited = None

    def read(self, input_size: int) -> None:
        """Makes an encoder without an `input_size` one that reads vectors of this width; does nothing to others."""
        if self._awaited is not None:
            self.__init__(input_size, **self._awaited)

    def forward(
        self, inputs: torch.Tensor, mask: Optional[torch.Tensor], hidden_state: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """
        # Parameters

        inputs : `torch.Tensor`
            `(batch, length, input_size)`.
        mask : `torch.Tensor`, optional
            `(batch, length)` bool, True for tokens, which stand before all padding.
        hidden_state : `torch.Tensor`, optional (default = `None`)

        # Returns

        `torch.Tensor`
            `(batch, length, output_dim)`, 0 for padding.
        """
        if mask is None or hidden_state is not None or self.stateful or not inputs.is_cpu:
            return super().forward(inputs, mask, hidden_state)
        # Not every processor has an LSTM in half precision.
        with torch.autocast("cpu", enabled=False):
            return self._read_padded(inputs.to(self._module.weight_ih_l0.dtype), mask)

    def _read_padded(self, inputs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        lstm = self._module
        batch, length = mask.shape
        # The tokens of each sentence in reverse; padding stays where it is. Shape: (batch * length,)
        position = torch.arange(length).expand(batch, length)
        reverse = (mask.sum(dim=1, keepdim=True) - 1 - position).where(mask, position)
        reverse = (reverse + length * torch.arange(batch).unsqueeze(1)).flatten()
        state = inputs.new_zeros(1, batch, lstm.hidden_size)
        hidden = inputs
        weights = iter(lstm.all_weights)
        for layer in range(lstm.num_layers):
            if layer:
                hidden = torch.nn.functional.dropout(hidden, lstm.dropout, self.training)
            outputs = []
            for is_backward in range(2 if lstm.bidirectional else 1):
                tokens = _reorder(hidden, reverse) if is_backward else hidden
                arguments = (lstm.bias, 1, 0.0, self.training, False, True)  # one layer, one direction, batch first
                output = torch.lstm(tokens, (state, state), next(weights), *arguments)[0]
                outputs.append(_reorder(output, reverse) if is_backward else output)
            hidden = torch.cat(outputs, dim=2)
        return hidden.masked_fill(~mask.unsqueeze(2), 0)


def _reorder(hidden: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return hidden.flatten(0, 1).index_select(0, order).view_as(hidden)
