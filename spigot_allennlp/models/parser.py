from typing import Optional

import torch
from allennlp.common.checks import ConfigurationError
from allennlp.data import TextFieldTensors, Vocabulary
from allennlp.models import Model
from allennlp.modules import Seq2SeqEncoder, TextFieldEmbedder
from allennlp.nn.util import get_text_field_mask

from spigot_allennlp.framework.bad_input import explained
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.models.extras import Extras
from spigot_allennlp.models.initialization import keep
from spigot_allennlp.modules import CountedDropout, Lstm


class Parser(Model):
    """
    What our parsers share: text to encoded tokens, and a start from the weights of an earlier parser.

    # Parameters

    vocab : `Vocabulary`
    text_field_embedder : `TextFieldEmbedder`
        Embeds the field `tokens`, whose position 0 is ROOT.
    encoder : `Seq2SeqEncoder`
    dropout : `float`, optional (default = `0.0`)
        On the encoded tokens.
    """

    def __init__(
        self,
        vocab: Vocabulary,
        text_field_embedder: TextFieldEmbedder,
        encoder: Seq2SeqEncoder,
        dropout: float = 0.0,
        **kwargs,
    ) -> None:
        super().__init__(vocab, **kwargs)
        check_widths(text_field_embedder, encoder)
        self.text_field_embedder = text_field_embedder
        self.encoder = encoder
        with explained(ValueError, by=lambda error: f"Dropout: {error}"):
            self.dropout = torch.nn.Dropout(dropout)
        self.is_pretrained = False
        self.extras = Extras()

    def tells(self, probabilities: bool = False) -> bool:
        """Whether any [`extras`](./extras.md) are to be told now, or probabilities among them."""
        asked_for = self.extras.probabilities or (bool(self.extras.top_k or self.extras.samples) and not probabilities)
        return asked_for and not self.training

    def encode(self, tokens: TextFieldTensors) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoded tokens, `(batch, length, encoder_dim)`, and their mask, `(batch, length)` bool."""
        mask = get_text_field_mask(tokens)
        return self.dropout(self.encoder(self.text_field_embedder(tokens), mask)), mask

    def structure_scores(self, tokens: TextFieldTensors) -> torch.Tensor:
        """The scores of all parts of the parser's structure, as its argmax takes them."""
        raise NotImplementedError

    def start_from(self, archive_file: Optional[str]) -> None:
        """
        Copies the weights of the first parser of this class in the archive: its model, or a stage of it. Rows that
        belong to words and labels are matched by their string, because the two vocabularies may differ; a word or
        label that the archive does not know keeps its fresh row. `None` or an empty name does nothing.

        # Raises

        `ConfigurationError`, if the archive holds no such parser, or one of another shape.
        """
        if not archive_file:
            return
        source = next((m for m in load_archive(archive_file).model.modules() if type(m) is type(self)), None)
        if source is None:
            raise ConfigurationError(f"{archive_file} holds no {type(self).__name__}")
        source_state, source_modules = source.state_dict(), dict(source.named_modules())
        new_state = self.state_dict()
        for name, target in new_state.items():
            if name.startswith("pruner."):
                continue  # it has a pretrained_file of its own
            if name not in source_state:
                raise ConfigurationError(f"the parser in {archive_file} has no weights '{name}'")
            value = source_state[name]
            path = name.rpartition(".")[0]
            if isinstance(self.get_submodule(path), CountedDropout):
                continue  # it counts the words of the training data at hand
            namespace = getattr(self.get_submodule(path), "_vocab_namespace", None)
            if namespace is not None:
                value = self._match_rows(target, value, namespace, source_modules[path]._vocab_namespace, source.vocab)
            if value.shape != target.shape:
                raise ConfigurationError(
                    f"'{name}' is {tuple(value.shape)} in {archive_file} and {tuple(target.shape)} here"
                )
            new_state[name] = value
        self.load_state_dict(new_state)
        keep(self.parameters())
        self.is_pretrained = True

    def _match_rows(
        self,
        target: torch.Tensor,
        source: torch.Tensor,
        namespace: str,
        source_namespace: str,
        source_vocab: Vocabulary,
    ) -> torch.Tensor:
        source_ids = source_vocab.get_token_to_index_vocabulary(source_namespace)
        pairs = [
            (i, source_ids[token])
            for token, i in self.vocab.get_token_to_index_vocabulary(namespace).items()
            if token in source_ids
        ]
        if source.shape[1:] != target.shape[1:]:
            return source  # which does not fit, whatever its rows
        here, there = torch.tensor(pairs, dtype=torch.long).view(-1, 2).T
        matched = target.clone()
        matched[here] = source[there]
        return matched


def check_widths(embedder: TextFieldEmbedder, encoder: Seq2SeqEncoder) -> None:
    """
    Raises a `ConfigurationError` unless the encoder takes what the embedder gives. One of type "spigot_lstm" without an
    `input_size` does from now on.
    """
    if isinstance(encoder, Lstm):
        encoder.read(embedder.get_output_dim())
    if embedder.get_output_dim() != encoder.get_input_dim():
        raise ConfigurationError(
            f"the embedder gives {embedder.get_output_dim()} dimensions to an encoder whose input_size is "
            f"{encoder.get_input_dim()}"
        )
