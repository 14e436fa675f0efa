import os
from collections.abc import Iterator, Sequence

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance

from spigot_allennlp.data.conll import read_conll
from spigot_allennlp.data.dataset_readers.sentence_reader import SentenceReader


@DatasetReader.register("spigot_conllu")
class ConlluReader(SentenceReader):
    """
    Reads dependency trees in the CoNLL-U format. Multiword tokens and empty nodes are left out.

    Registered as a `DatasetReader` with name "spigot_conllu".

    # Parameters

    tag_column : `str`, optional (default = `"xpos"`)
        The column the tags are taken from, `"xpos"` or `"upos"`.
    partial_trees : `bool`, optional (default = `False`)
        Whether some words of a sentence may have the head `_`, which then is not known, and others not.
    kwargs
        See [`SentenceReader`](./sentence_reader.md).
    """

    def __init__(self, tag_column: str = "xpos", partial_trees: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        if tag_column not in ("xpos", "upos"):
            raise ConfigurationError(f"Expected `tag_column` to be 'xpos' or 'upos', found {tag_column!r}")
        self._tag_column = tag_column
        self._partial_trees = partial_trees

    def _read(self, file_path: str | os.PathLike[str]) -> Iterator[Instance]:
        name = str(file_path)
        for sentence in self.shard_iterable(read_conll(self.find_file(name), name, self._partial_trees)):
            self.check_length(sentence.forms, name, sentence.line, sentence.sentence_id)
            heads, deprels = sentence.heads, sentence.deprels
            if self._partial_trees and heads is None:
                # A tree of which nothing is known: sentences with and without heads are in one batch.
                heads = deprels = [None] * len(sentence.forms)
            yield self.text_to_instance(
                sentence.forms,
                sentence.xpos if self._tag_column == "xpos" else sentence.upos,
                sentence.lemmas,
                heads,
                deprels,
                sentence.sentence_id,
                sentence.upos,
            )

    def text_to_instance(  # type: ignore
        self,
        tokens: Sequence[str],
        tags: Sequence[str],
        lemmas: Sequence[str],
        heads: Sequence[int | None] | None = None,
        deprels: Sequence[str] | None = None,
        sentence_id: str | None = None,
        upos: Sequence[str] | None = None,
    ) -> Instance:
        """
        # Parameters

        tokens : `Sequence[str]`
            The forms, without ROOT.
        tags : `Sequence[str]`
        lemmas : `Sequence[str]`
        heads : `Sequence[int | None]`, optional (default = `None`)
            The head of each token, a 1-based position or 0 for ROOT, or `None` where it is not known.
        deprels : `Sequence[str]`, optional (default = `None`)
            The label of each arc; goes with `heads`.
        sentence_id : `str`, optional (default = `None`)
        upos : `Sequence[str]`, optional (default = `None`)
            The universal parts of speech, by which "ud" tells punctuation; by default the tags.

        # Returns

        An `Instance` with these fields, where position 0 is ROOT:

        tokens : `TextField`
        metadata : `MetadataField`
            A dictionary of `tokens`, `lemmas` and `tags`, without ROOT, and `sentence_id`; where the reader knows
            `punctuation`, also `is_punctuation`, a list of `bool`.
        tree : `ArcField`, if `heads` are given
            Cells are [modifier, head], labels are in the namespace `head_tags`.
        """
        return Instance(self.make_fields(tokens, tags, lemmas, heads, deprels, sentence_id, upos))
