"""Sentences that are too long for a pretrained transformer, which has vectors for so many positions and no more."""

from collections.abc import Iterator
from textwrap import shorten
from typing import Any, Optional

import torch
from allennlp.data import TextFieldTensors
from allennlp.models import Model
from allennlp.modules.text_field_embedders import BasicTextFieldEmbedder
from allennlp.modules.token_embedders import PretrainedTransformerEmbedder, PretrainedTransformerMismatchedEmbedder

from spigot_allennlp.data.format_error import FormatError


def check_word_pieces(model: Model, tokens: TextFieldTensors, metadata: Optional[list[dict[str, Any]]]) -> None:
    """
    Raises a `FormatError` that names the first sentence with more word pieces than a transformer of the model takes at
    once: all of them or, with the framework's `max_length`, so many. A GPU would be lost for the rest of the program.
    """
    if not any("token_ids" in tensors for tensors in tokens.values()):
        return
    for name, embedder in _transformers(model):
        pieces, limit = tokens.get(name, {}).get("token_ids"), _max_positions(embedder.transformer_model)
        if pieces is None or limit is None or min(pieces.size(1), embedder._max_length or pieces.size(1)) <= limit:
            continue
        mask = tokens[name].get("segment_concat_mask", tokens[name].get("wordpiece_mask", tokens[name]["mask"]))
        for index, found in enumerate(mask.sum(dim=1).tolist()):
            if found > limit:
                sentence = {} if metadata is None else metadata[index]
                raise FormatError(
                    f"expected at most {limit} word pieces, which the transformer of '{name}' takes at once, found "
                    f"{found}; a max_length of at most {limit} of both its indexer and its embedder divides it",
                    sentence_id=sentence.get("sentence_id")
                    or shorten(" ".join(sentence.get("tokens", ())), 40, placeholder=" …"),
                )


def _transformers(model: Model) -> Iterator[tuple[str, PretrainedTransformerEmbedder]]:
    """The transformers of a model, each with the name of its indexer."""
    for module in model.modules():
        if isinstance(module, BasicTextFieldEmbedder):
            for name, embedder in module._token_embedders.items():
                if isinstance(embedder, PretrainedTransformerMismatchedEmbedder):
                    embedder = embedder._matched_embedder
                if isinstance(embedder, PretrainedTransformerEmbedder):
                    yield name, embedder


def _max_positions(transformer: torch.nn.Module) -> Optional[int]:
    """How many positions have a vector; `None`, if they have none, as where only distances count."""
    for name, module in transformer.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "embed_positions", "wpe"):
            if isinstance(module, torch.nn.Embedding):
                # RoBERTa counts from behind the position of padding, BART from an offset.
                padding = -1 if module.padding_idx is None else module.padding_idx
                return module.num_embeddings - max(padding + 1, getattr(module, "offset", 0))
    return None
