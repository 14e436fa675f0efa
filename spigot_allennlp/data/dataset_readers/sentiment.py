import os
from collections.abc import Iterator, Sequence
from typing import Optional

from allennlp.common.checks import ConfigurationError
from allennlp.data import DatasetReader, Instance

from spigot_allennlp.data.dataset_readers.sentence_reader import SentenceReader
from spigot_allennlp.data.fields import KnownLabelField, LatentClassField
from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sentiment import SentimentSentence, read_sentiment
from spigot_allennlp.data.tagger import TaggedSentence, Tagger

# Of the five labels of a sentiment treebank; without the neutral one, "2".
_BINARY = {"0": "0", "1": "0", "3": "1", "4": "1"}


@DatasetReader.register("spigot_sentiment")
class SentimentReader(SentenceReader):
    """
    Reads sentences with a label, or pairs of them, in any of the formats of
    [`read_sentiment`](../sentiment.md#read_sentiment). Either all sentences of a file have gold heads, or none, and
    likewise latent classes. What a file leaves out, tags and lemmas or the tokens too, is filled in by spaCy.

    Registered as a `DatasetReader` with name "spigot_sentiment".

    # Parameters

    granularity : `str`, optional (default = `"2-class"`)
        What becomes of the five labels of bracketed trees. `"2-class"`: 0 and 1 become "0", 3 and 4 become "1", and
        neutral sentences are left out, as in SST-2. `"5-class"`: they stay. Labels of other formats always stay.
    label_names : `dict[str, str]`, optional (default = `None`)
        What labels mean, for those who look at predictions: `{"1": "positive"}`. Nothing else changes.
    spacy_model : `str`, optional (default = `None`)
        The spaCy pipeline that fills in what a file leaves out; see [`Tagger`](../tagger.md).
    unescape_ptb : `bool`, optional (default = `True`)
        Whether `-LRB-` is read as `(`; see [`SentenceReader`](./sentence_reader.md). Sentiment treebanks have such
        forms, and what people write has brackets.
    kwargs
        See [`SentenceReader`](./sentence_reader.md).
    """

    def __init__(
        self,
        granularity: str = "2-class",
        label_names: Optional[dict[str, str]] = None,
        spacy_model: Optional[str] = None,
        unescape_ptb: bool = True,
        **kwargs,
    ) -> None:
        super().__init__(unescape_ptb=unescape_ptb, **kwargs)
        if granularity not in ("2-class", "5-class"):
            raise ConfigurationError(f"Expected `granularity` to be '2-class' or '5-class', found {granularity!r}")
        self._granularity = granularity
        self.label_names = label_names or {}
        self._tagger = Tagger(spacy_model, unescape_ptb)

    def _read(self, file_path: str | os.PathLike[str]) -> Iterator[Instance]:
        name = str(file_path)
        for sentence in self.shard_iterable(self._read_sentences(name)):
            place = (name, sentence.line, sentence.sentence_id)
            tagged, hypothesis = self._tag(sentence), None
            self.check_length(tagged.tokens, *place)
            if sentence.hypothesis is not None:
                hypothesis = self._tag_text(sentence.hypothesis)
                self.check_length(hypothesis.tokens, *place)
            known = (sentence.heads, hypothesis, sentence.latent_class)
            yield self.text_to_instance(*tagged[:3], sentence.label, sentence.sentence_id, name, sentence.line, *known)

    def _read_sentences(self, name: str) -> Iterator[SentimentSentence]:
        is_empty = True
        kind = None
        for sentence in read_sentiment(self.find_file(name), name):
            found = (
                "heads" if sentence.heads else "no heads",
                "a hypothesis" if sentence.hypothesis else "no hypothesis",
                "no latent class" if sentence.latent_class is None else "a latent class",
            )
            kind = kind or found
            if found != kind:
                differing = [pair for pair in zip(kind, found, strict=True) if pair[0] != pair[1]]
                before, here = map(" and ".join, zip(*differing, strict=True))
                message = f"expected {before}, as in the sentences before, found {here}"
                raise FormatError(message, name, sentence.line, sentence.sentence_id)
            if sentence.is_tree and self._granularity == "2-class":
                if sentence.label not in _BINARY:
                    continue
                sentence.label = _BINARY[sentence.label]
            yield sentence
            is_empty = False
        if is_empty:
            message = "expected a sentence that is not neutral, found none; granularity '5-class' keeps neutral ones"
            raise FormatError(message, name)

    def _tag(self, sentence: SentimentSentence) -> TaggedSentence:
        if sentence.tokens is None:
            return self._tag_text(sentence.text)
        if sentence.tags is None or sentence.lemmas is None:
            tagged = self._tag_text(sentence.tokens)
            return TaggedSentence(tagged.tokens, sentence.tags or tagged.tags, sentence.lemmas or tagged.lemmas)
        return TaggedSentence(sentence.tokens, sentence.tags, sentence.lemmas)

    def _tag_text(self, text: str | list[str]) -> TaggedSentence:
        return self._tagger.sentence(text) if isinstance(text, str) else self._tagger.tag(text)

    def text_to_instance(  # type: ignore
        self,
        tokens: Sequence[str],
        tags: Sequence[str],
        lemmas: Sequence[str],
        label: str | None = None,
        sentence_id: str | None = None,
        name: str | None = None,
        line: int | None = None,
        heads: Sequence[int] | None = None,
        hypothesis: TaggedSentence | None = None,
        latent_class: str | None = None,
    ) -> Instance:
        """
        # Parameters

        tokens : `Sequence[str]`
            The forms, without ROOT.
        tags : `Sequence[str]`
        lemmas : `Sequence[str]`
        label : `str`, optional (default = `None`)
        sentence_id : `str`, optional (default = `None`)
        name : `str`, optional (default = `None`)
            The file, for messages.
        line : `int`, optional (default = `None`)
            Where the file has the sentence, for messages.
        heads : `Sequence[int]`, optional (default = `None`)
            A gold tree.
        hypothesis : `TaggedSentence`, optional (default = `None`)
            The second sentence of a pair.
        latent_class : `str`, optional (default = `None`)
            The true class of the sentence, of a pair that of the premise, for evaluation.

        # Returns

        An `Instance` with these fields, where position 0 is ROOT:

        tokens : `TextField`
        metadata : `MetadataField`
            A dictionary of `tokens`, `lemmas` and `tags`, without ROOT, and `sentence_id`.
        label : `KnownLabelField`, if a label is given
            In the namespace `labels`.
        tree : `ArcField`, if heads are given
            `[modifier, head]`, its arcs without labels.
        hypothesis : `TextField`, of a pair
            And `hypothesis_tokens`, `hypothesis_lemmas` and `hypothesis_tags` among the metadata.
        latent_class : `LatentClassField`, if one is given
        """
        deprels = None if heads is None else ["_"] * len(heads)
        fields = self.make_fields(tokens, tags, lemmas, heads, deprels, sentence_id=sentence_id)
        if hypothesis is not None:
            second = self.make_fields(*hypothesis[:3])
            fields["hypothesis"] = second["tokens"]
            names = ("tokens", "lemmas", "tags")
            fields["metadata"].metadata.update({f"hypothesis_{key}": second["metadata"][key] for key in names})
        if label is not None:
            fields["label"] = KnownLabelField(label, name, line, sentence_id)
        if latent_class is not None:
            fields["latent_class"] = LatentClassField(latent_class)
        return Instance(fields)
