import os
from collections.abc import Iterator, Sequence
from typing import Optional

from allennlp.common.checks import ConfigurationError
from allennlp.common.file_utils import cached_path
from allennlp.data import DatasetReader, Field, Instance, TokenIndexer
from allennlp.data.dataset_readers.dataset_reader import DatasetReaderInput
from allennlp.data.fields import MetadataField, TextField
from allennlp.data.token_indexers import SingleIdTokenIndexer
from allennlp.data.tokenizers import Token

from spigot_allennlp.data.fields import ArcField, FrameField
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.frames import NO_FRAME
from spigot_allennlp.data.ptb_escapes import unescape
from spigot_allennlp.data.punctuation import PUNCTUATION_TAGS, is_punctuation
from spigot_allennlp.framework.bad_input import explained

ROOT = "@@ROOT@@"
"""The form, lemma and tag of position 0 of every sentence."""

TOP = "@@TOP@@"
"""The label of the arcs from ROOT to the tops of a graph."""


class SentenceReader(DatasetReader):
    """
    What the readers of tokenised, tagged and lemmatised sentences share. Not registered.

    # Parameters

    token_indexers : `dict[str, TokenIndexer]`, optional
        Indexers of tokens that have `text`, `lemma_` and `tag_`. By default three of type `single_id`: `words`
        (lowercase), `lemmas` and `pos`, each with the namespace of its own name.
    max_tokens_per_sentence : `int`, optional (default = `None`)
        A longer sentence in a file, not counting ROOT, raises a `FormatError`. By default none is too long.
    unescape_ptb : `bool`, optional (default = `False`)
        Whether forms and lemmas are [unescaped](../ptb_escapes.md): a model then reads `(` for `-LRB-`, wherever
        sentences come from. In the metadata, and so in predictions, they stay as they are.
    punctuation : `str`, optional (default = `None`)
        By which convention tokens are [punctuation](../punctuation.md): "ud", "ptb" or "ctb". Figures without it are
        then reported too.
    """

    tag_column = "xpos"
    """The column of CoNLL-U that tags belong to."""

    graphs_in_deps = False
    """Whether graphs are those of the column DEPS of CoNLL-U."""

    def __init__(
        self,
        token_indexers: Optional[dict[str, TokenIndexer]] = None,
        max_tokens_per_sentence: Optional[int] = None,
        unescape_ptb: bool = False,
        punctuation: Optional[str] = None,
        **kwargs,
    ) -> None:
        super().__init__(manual_distributed_sharding=True, manual_multiprocess_sharding=True, **kwargs)
        self._token_indexers = token_indexers or {
            "words": SingleIdTokenIndexer(namespace="words", lowercase_tokens=True),
            "lemmas": SingleIdTokenIndexer(namespace="lemmas", feature_name="lemma_"),
            # Not `tags`: a namespace of that name has no padding and no unknown tag.
            "pos": SingleIdTokenIndexer(namespace="pos", feature_name="tag_"),
        }
        if max_tokens_per_sentence is not None and max_tokens_per_sentence < 1:
            raise ConfigurationError(f"max_tokens_per_sentence must be at least 1, but is {max_tokens_per_sentence}")
        self._max_tokens_per_sentence = max_tokens_per_sentence
        self.unescape_ptb = unescape_ptb
        if punctuation is not None and punctuation not in PUNCTUATION_TAGS:
            conventions = ", ".join(PUNCTUATION_TAGS)
            raise ConfigurationError(f"punctuation must be one of {conventions}, but is {punctuation!r}")
        self._punctuation = punctuation

    def read(self, file_path: DatasetReaderInput) -> Iterator[Instance]:
        """The instances of a file. An `OSError` is explained by the file, or by what the reader takes with it."""
        with explained(OSError):
            yield from super().read(file_path)

    def apply_token_indexers(self, instance: Instance) -> None:
        for field in instance.fields.values():
            if isinstance(field, TextField):
                field.token_indexers = self._token_indexers

    def find_file(self, name: str) -> str:
        """The local path of a file of data. Raises an `OSError` where there is none, and where there is a folder."""
        if not name:
            raise FileNotFoundError("expected the path of a file of data, found an empty one")
        path = cached_path(name)
        if os.path.isdir(path):
            raise IsADirectoryError(f"expected a file of data, found the folder {name}")
        return path

    def check_length(self, forms: Sequence[str], name: str, line: int | None, sentence_id: str | None) -> None:
        """Raises a `FormatError` for a sentence with more tokens than are allowed."""
        if self._max_tokens_per_sentence is not None and len(forms) > self._max_tokens_per_sentence:
            message = f"expected at most {self._max_tokens_per_sentence} tokens, found {len(forms)}"
            raise FormatError(message, name, line, sentence_id)

    def make_fields(
        self,
        tokens: Sequence[str],
        tags: Sequence[str],
        lemmas: Sequence[str],
        heads: Sequence[int | None] | None = None,
        deprels: Sequence[str] | None = None,
        sentence_id: str | None = None,
        arcs: Sequence[tuple[int, int, str]] | None = None,
        tops: Sequence[int] | None = None,
        upos: Sequence[str] | None = None,
        frames: Sequence[str] | None = None,
    ) -> dict[str, Field]:
        """
        The fields `tokens` and `metadata`; `tree`, where `heads` are given; `graph`, where `arcs` are given; and
        `frames`, where these are. The universal parts of speech, `upos`, are for the convention "ud"; without them, it
        looks at the tags.
        """
        words = [Token(ROOT, lemma_=ROOT, tag_=ROOT)]
        text = unescape if self.unescape_ptb else str
        words += [
            Token(text(token), lemma_=text(lemma), tag_=tag)
            for token, lemma, tag in zip(tokens, lemmas, tags, strict=True)
        ]
        text_field = TextField(words)
        metadata = {"tokens": list(tokens), "lemmas": list(lemmas), "tags": list(tags), "sentence_id": sentence_id}
        fields: dict[str, Field] = {"tokens": text_field, "metadata": MetadataField(metadata)}
        if self._punctuation is not None:
            by = tags if upos is None or self._punctuation != "ud" else upos
            metadata["is_punctuation"] = is_punctuation(by, self._punctuation)
        if heads is not None:
            if deprels is None or not len(tokens) == len(heads) == len(deprels):
                sizes = f"{len(heads)} and {0 if deprels is None else len(deprels)}"
                raise ConfigurationError(
                    f"Expected a head and a deprel for each of {len(tokens)} tokens, found {sizes}"
                )
            pairs = [(modifier, head) for modifier, head in enumerate(heads, start=1) if head is not None]
            labels = [deprels[modifier - 1] for modifier, _ in pairs]
            fields["tree"] = ArcField(pairs, text_field, labels, label_namespace="head_tags")
        if arcs is not None:
            labelled = [(0, top, TOP) for top in tops or ()] + list(arcs)
            fields["graph"] = ArcField(
                [(predicate, argument) for predicate, argument, _ in labelled],
                text_field,
                [label for _, _, label in labelled],
                label_namespace="graph_labels",
                repeated_namespace="repeated_graph_labels",
            )
        if frames is not None:
            fields["frames"] = FrameField([NO_FRAME, *frames], [ROOT, *lemmas], text_field)
        return fields


def from_source(instance: Instance, **texts: str) -> Instance:
    """
    The instance, with the text of its sentence in a file, by format ("sdp" or "conllu"), for what writes it again with
    a prediction. It is the metadata's `source`.
    """
    instance["metadata"].metadata["source"] = texts
    return instance
