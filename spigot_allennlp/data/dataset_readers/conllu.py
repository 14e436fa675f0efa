import logging
import os
from collections.abc import Iterator, Sequence

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance

from spigot_allennlp.data.conll import format_conll, read_conll
from spigot_allennlp.data.conll_graph import parse_deps
from spigot_allennlp.data.dataset_readers.sentence_reader import SentenceReader, from_source

logger = logging.getLogger(__name__)


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
    graphs : `str`, optional (default = `"none"`)
        Where the graphs are. `"none"`: there are none, or they are not wanted. `"deps"`: in the column DEPS, as
        enhanced dependencies; the tops are the words with the arc `0:root`. Arcs from and to empty nodes, and all but
        the first arc between two words, are left out, and a warning says of how many sentences.
    kwargs
        See [`SentenceReader`](./sentence_reader.md).
    """

    def __init__(
        self,
        tag_column: str = "xpos",
        partial_trees: bool = False,
        graphs: str = "none",
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if tag_column not in ("xpos", "upos"):
            raise ConfigurationError(f"Expected `tag_column` to be 'xpos' or 'upos', found {tag_column!r}")
        if graphs not in ("none", "deps"):
            raise ConfigurationError(f"Expected `graphs` to be 'none' or 'deps', found {graphs!r}")
        self.tag_column = tag_column
        self._partial_trees = partial_trees
        self.graphs_in_deps = graphs == "deps"

    def _read(self, file_path: str | os.PathLike[str]) -> Iterator[Instance]:
        name = str(file_path)
        first_partial, num_partial = None, 0
        for sentence in self.shard_iterable(read_conll(self.find_file(name), name, self._partial_trees)):
            self.check_length(sentence.forms, name, sentence.line, sentence.sentence_id)
            heads, deprels = sentence.heads, sentence.deprels
            if self._partial_trees and heads is None:
                # A tree of which nothing is known: sentences with and without heads are in one batch.
                heads = deprels = [None] * len(sentence.forms)
            arcs, tops = None, None
            if self.graphs_in_deps:
                (arcs, tops), is_all = parse_deps([word["deps"] for word in sentence.words])
                if not is_all:
                    first_partial, num_partial = first_partial or sentence.line, num_partial + 1
            instance = self.text_to_instance(
                sentence.forms,
                sentence.xpos if self.tag_column == "xpos" else sentence.upos,
                sentence.lemmas,
                heads,
                deprels,
                sentence.sentence_id,
                arcs,
                tops,
                sentence.upos,
            )
            yield from_source(instance, conllu=format_conll(sentence))
        if num_partial:
            message = (
                "%s: arcs of DEPS that a graph cannot have, as those of empty nodes, are left out of %d sentences; "
            )
            logger.warning(message + "the first is at line %d", name, num_partial, first_partial)

    def text_to_instance(  # type: ignore
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
        arcs : `Sequence[tuple[int, int, str]]`, optional (default = `None`)
            (head, word, label) of each arc of the graph, in 1-based positions.
        tops : `Sequence[int]`, optional (default = `None`)
            The 1-based positions of the tops; goes with `arcs`.
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
        graph : `ArcField`, if `arcs` are given
            As [`SdpReader`](./sdp.md) makes it.
        """
        return Instance(self.make_fields(tokens, tags, lemmas, heads, deprels, sentence_id, arcs, tops, upos))
