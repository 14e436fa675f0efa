import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance

from spigot_allennlp.data.companion import add_trees
from spigot_allennlp.data.conll import ConllSentence, format_conll, read_conll
from spigot_allennlp.data.dataset_readers.sentence_reader import SentenceReader, from_source
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import SdpSentence, format_sdp, read_sdp


@DatasetReader.register("spigot_sdp")
class SdpReader(SentenceReader):
    """
    Reads semantic dependency graphs in the SDP 2015 format, plain or augmented, with or without syntactic trees. Every
    sentence of the file becomes an instance, also one whose graph has no arcs.

    Registered as a `DatasetReader` with name "spigot_sdp".

    # Parameters

    trees : `str`, optional (default = `"none"`)
        Where the trees are. `"none"`: there are none, or they are not wanted. `"augmented"`: in the `head` and `deprel`
        columns of the augmented variant. `"companion"`: in a CoNLL-U file of the same sentences in the same order,
        beside the file and with the same name but for its suffix, as in `train.sdp` and `train.conllu`.
    companion_suffix : `str`, optional (default = `".conllu"`)
        What stands in place of the suffix of a path in the path of its companion.
    frames : `bool`, optional (default = `False`)
        Whether a parser is to learn the frames too.
    kwargs
        See [`SentenceReader`](./sentence_reader.md).
    """

    def __init__(self, trees: str = "none", companion_suffix: str = ".conllu", frames: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        if trees not in ("none", "augmented", "companion"):
            raise ConfigurationError(f"Expected `trees` to be 'none', 'augmented' or 'companion', found {trees!r}")
        self._trees = trees
        self._companion_suffix = companion_suffix
        self._frames = frames

    def _read(self, file_path: str | os.PathLike[str]) -> Iterator[Instance]:
        name = str(file_path)
        for sentence in self.shard_iterable(self._read_sentences(name)):
            self.check_length(sentence.forms, name, sentence.line, sentence.sentence_id)
            instance = self.text_to_instance(
                sentence.forms,
                sentence.tags,
                sentence.lemmas,
                sentence.heads if self._trees != "none" else None,
                sentence.deprels if self._trees != "none" else None,
                sentence.arcs,
                sentence.tops,
                sentence.sentence_id,
                sentence.upos,
                sentence.frames if self._frames else None,
            )
            texts = {}
            if sentence.companion is not None:
                texts["conllu"] = format_conll(sentence.companion)
                sentence = replace(sentence, heads=None, deprels=None)
            yield from_source(instance, sdp=format_sdp(sentence), **texts)

    def _read_sentences(self, name: str) -> Iterator[SdpSentence]:
        sentences = read_sdp(self.find_file(name), name)
        if self._trees == "companion":
            companion = os.path.splitext(name)[0] + self._companion_suffix
            sentences = add_trees(sentences, self._read_companion(name, companion), name, companion)
        for sentence in sentences:
            if self._trees == "augmented" and sentence.heads is None:
                message = "expected the augmented variant, with columns for head and deprel, found plain SDP 2015"
                raise FormatError(message, name, sentence.line, sentence.sentence_id)
            yield sentence

    def _read_companion(self, name: str, companion: str) -> Iterator[ConllSentence]:
        try:
            path = self.find_file(companion)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"expected the trees of {name} in {companion}, as the reader's `trees` is 'companion', found no such "
                "file; set dataset_reader.trees to 'augmented' for trees in the file's own columns, to 'none' for none"
            ) from None
        return read_conll(path, companion)

    def text_to_instance(  # type: ignore
        self,
        tokens: Sequence[str],
        tags: Sequence[str],
        lemmas: Sequence[str],
        heads: Sequence[int] | None = None,
        deprels: Sequence[str] | None = None,
        arcs: Sequence[tuple[int, int, str]] | None = None,
        tops: Sequence[int] | None = None,
        sentence_id: str | None = None,
        upos: Sequence[str] | None = None,
        frames: Sequence[str] | None = None,
    ) -> Instance:
        """
        # Parameters

        tokens : `Sequence[str]`
            The forms, without ROOT.
        tags : `Sequence[str]`
        lemmas : `Sequence[str]`
        heads : `Sequence[int]`, optional (default = `None`)
            The syntactic head of each token, a 1-based position or 0 for ROOT.
        deprels : `Sequence[str]`, optional (default = `None`)
            The label of each syntactic arc; goes with `heads`.
        arcs : `Sequence[tuple[int, int, str]]`, optional (default = `None`)
            (predicate, argument, label) of each semantic arc, in 1-based positions.
        tops : `Sequence[int]`, optional (default = `None`)
            The 1-based positions of the tops; goes with `arcs`.
        sentence_id : `str`, optional (default = `None`)
        upos : `Sequence[str]`, optional (default = `None`)
            The universal parts of speech, by which "ud" tells punctuation; by default the tags.
        frames : `Sequence[str]`, optional (default = `None`)
            The frame of each token, `_` for none.

        # Returns

        An `Instance` with these fields, where position 0 is ROOT:

        tokens : `TextField`
        metadata : `MetadataField`
            A dictionary of `tokens`, `lemmas` and `tags`, without ROOT, and `sentence_id`; where the reader knows
            `punctuation`, also `is_punctuation`, a list of `bool`.
        tree : `ArcField`, if `heads` are given
            Cells are [modifier, head], labels are in the namespace `head_tags`.
        graph : `ArcField`, if `arcs` are given
            Cells are [predicate, argument], labels are in the namespace `graph_labels`, and those that occur twice with
            one predicate also in `repeated_graph_labels`. Tops are arguments of ROOT with the label `TOP`.
        frames : `FrameField`, if `frames` are given
            Labels are in the namespace `frame_labels`, and those of each lemma in `lemma_frame_labels`.
        """
        return Instance(self.make_fields(tokens, tags, lemmas, heads, deprels, sentence_id, arcs, tops, upos, frames))
