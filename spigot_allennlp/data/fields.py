from collections import Counter
from collections.abc import Iterable, Sequence

import numpy
import torch
from allennlp.data import Vocabulary
from allennlp.data.fields import AdjacencyField, LabelField, SequenceField, SequenceLabelField, TensorField

from spigot_allennlp.data.format_error import FormatError, first_of
from spigot_allennlp.data.frames import NO_FRAME, to_label


class ArcField(AdjacencyField):
    """
    Labelled arcs between the elements of a sequence. As a tensor, `(length, length)` of `torch.long`, the label id
    where there is an arc and `padding_value` elsewhere.

    It differs from its base class in two ways. A label that the vocabulary does not know gets the id one past its last,
    `vocab.get_vocab_size(label_namespace)`: an arc, whose label cannot be predicted, rather than a `KeyError`. And the
    vocabulary can record which labels are ever repeated in a row of the tensor; all others are *deterministic*.

    # Parameters

    indices : `list[tuple[int, int]]`
        The row and the column of each arc.
    sequence_field : `SequenceField`
        The elements, usually the `TextField` of a sentence.
    labels : `list[str]`
        The label of each arc.
    label_namespace : `str`, optional (default = `"labels"`)
    repeated_namespace : `str`, optional (default = `None`)
        The namespace for labels that several arcs of a row have. `None` records nothing.
    padding_value : `int`, optional (default = `-1`)
    """

    __slots__ = ["_repeated_namespace"]

    def __init__(
        self,
        indices: list[tuple[int, int]],
        sequence_field: SequenceField,
        labels: list[str],
        label_namespace: str = "labels",
        repeated_namespace: str | None = None,
        padding_value: int = -1,
    ) -> None:
        super().__init__(indices, sequence_field, labels, label_namespace, padding_value)
        self._repeated_namespace = repeated_namespace

    def count_vocab_items(self, counter: dict[str, dict[str, int]]) -> None:
        super().count_vocab_items(counter)
        if self._indexed_labels is None and self._repeated_namespace is not None:
            arcs = zip(self.indices, self.labels, strict=True)
            occurrences = Counter((row, label) for (row, _), label in arcs)
            for (_, label), count in occurrences.items():
                if count > 1:
                    counter[self._repeated_namespace][label] += 1

    def index(self, vocab: Vocabulary) -> None:
        ids = vocab.get_token_to_index_vocabulary(self._label_namespace)
        unknown = vocab.get_vocab_size(self._label_namespace)
        self._indexed_labels = [ids.get(label, unknown) for label in self.labels]

    def as_tensor(self, padding_lengths: dict[str, int]) -> torch.Tensor:
        length = padding_lengths["num_tokens"]
        # Shape: (length, length)
        array = numpy.full((length, length), self._padding_value, dtype=numpy.int64)
        if self.indices:
            array[tuple(zip(*self.indices, strict=True))] = self._indexed_labels
        return torch.from_numpy(array)

    def empty_field(self) -> "ArcField":
        return ArcField(
            [],
            self.sequence_field.empty_field(),
            [],
            self._label_namespace,
            self._repeated_namespace,
            self._padding_value,
        )


class KnownLabelField(LabelField):
    """
    The label of a sentence, in the namespace `labels`. One that the vocabulary does not know, as nothing in the
    training data has it, raises a `FormatError` where the framework's field raises a `KeyError`.

    # Parameters

    label : `str`
    name : `str`, optional (default = `None`)
        The file, for the message.
    line : `int`, optional (default = `None`)
        Where the file has the sentence, for the message.
    sentence_id : `str`, optional (default = `None`)
        The sentence, for the message.
    """

    __slots__ = ["_place"]

    def __init__(
        self, label: str, name: str | None = None, line: int | None = None, sentence_id: str | None = None
    ) -> None:
        super().__init__(label)
        self._place = (name, line, sentence_id)

    def index(self, vocab: Vocabulary) -> None:
        known = vocab.get_token_to_index_vocabulary("labels")
        if self.label not in known:
            message = f"expected a label that the training data has, {first_of(known)}, found {first_of([self.label])}"
            raise FormatError(message, *self._place)
        super().index(vocab)


class LatentClassField(LabelField):
    """
    The true class of a sentence, which no model is told, in the namespace `latent_class_labels`. One that the
    vocabulary does not know has the id one past its last.

    # Parameters

    latent_class : `str`
    """

    __slots__ = []

    def __init__(self, latent_class: str) -> None:
        super().__init__(latent_class, "latent_class_labels")

    def index(self, vocab: Vocabulary) -> None:
        ids = vocab.get_token_to_index_vocabulary(self._label_namespace)
        self._label_id = ids.get(self.label, len(ids))


class FrameField(SequenceLabelField):
    """
    The frames of a sequence of tokens. As a tensor, `(length,)` of `torch.long`: the id of the frame's
    [label](./frames.md) in the namespace `frame_labels`, -1 where there is none. A label that the vocabulary does not
    know has the id one past its last.

    The vocabulary also records which labels each lemma has, a lemma, a tab and a label in `lemma_frame_labels`.

    # Parameters

    frames : `Sequence[str]`
        The frame of each token, `_` for none.
    lemmas : `Sequence[str]`
    sequence_field : `SequenceField`
        The tokens.
    """

    __slots__ = ["_lemmas"]

    def __init__(self, frames: Sequence[str], lemmas: Sequence[str], sequence_field: SequenceField) -> None:
        labels = [to_label(frame, lemma) for frame, lemma in zip(frames, lemmas, strict=True)]
        super().__init__(labels, sequence_field, "frame_labels")
        self._lemmas = list(lemmas)

    def count_vocab_items(self, counter: dict[str, dict[str, int]]) -> None:
        for lemma, label in zip(self._lemmas, self.labels, strict=True):
            if label != NO_FRAME:
                counter["frame_labels"][label] += 1
                counter["lemma_frame_labels"][f"{lemma}\t{label}"] += 1

    def index(self, vocab: Vocabulary) -> None:
        ids = vocab.get_token_to_index_vocabulary("frame_labels")
        self._indexed_labels = [-1 if label == NO_FRAME else ids.get(label, len(ids)) for label in self.labels]

    def as_tensor(self, padding_lengths: dict[str, int]) -> torch.Tensor:
        padding = [-1] * (padding_lengths["num_tokens"] - len(self.labels))
        return torch.tensor(self._indexed_labels + padding, dtype=torch.long)

    def empty_field(self) -> "FrameField":
        empty = FrameField([], [], self.sequence_field.empty_field())
        empty._indexed_labels = []
        return empty


class ForbiddenArcs(TensorField):
    """
    What is known of a tree before it is predicted, as the arcs that it must not have: no other head for a token whose
    head is given, and none of the forbidden arcs. As a tensor, `(length, length)` bool, `[modifier, head]`, where
    position 0 is ROOT.

    # Parameters

    num_tokens : `int`
        Without ROOT.
    heads : `Sequence[int | None]`, optional (default = `None`)
        For each token its head, 0 for ROOT, or `None` where that is not known.
    forbidden : `Iterable[tuple[int, int]]`, optional (default = `()`)
        `(modifier, head)`, 1-based positions; a head may be 0.
    """

    def __init__(
        self, num_tokens: int, heads: Sequence[int | None] | None = None, forbidden: Iterable[tuple[int, int]] = ()
    ) -> None:
        arcs = numpy.zeros((num_tokens + 1, num_tokens + 1), dtype=bool)
        for modifier, head in enumerate(heads or (), start=1):
            if head is not None:
                arcs[modifier] = True
                arcs[modifier, head] = False
        for modifier, head in forbidden:
            arcs[modifier, head] = True
        super().__init__(torch.from_numpy(arcs))
