import itertools
import lzma
import math
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from reprlib import repr as shortened
from typing import Optional, Union

from allennlp.data import Vocabulary
from allennlp.data.vocabulary import DEFAULT_NON_PADDED_NAMESPACES
from allennlp.modules.token_embedders.embedding import EmbeddingsTextFile

from spigot_allennlp.framework.bad_input import describe, explained, naming

_COUNTS = "_spigot_counts"


class CountingVocabulary(Vocabulary):
    """
    A vocabulary that knows how often each token occurs in the data that it was made from, also after it was saved.

    The framework forgets that: workers of a distributed training, and a recovered training, read a saved vocabulary. So
    the counts of a padded namespace, such as `words`, are the tokens of another one, `words_spigot_counts`, each a
    number, a space and a token of `words`; whoever reads a vocabulary reads it with them. `token_counts` looks them up.
    Data that extends the vocabulary takes the place of the data before.

    Registered as a `Vocabulary` with names "spigot" and "spigot_extend", whose parameters are those of the framework's
    "from_instances" and "extend".
    """

    def _extend(
        self,
        counter: Optional[dict[str, dict[str, int]]] = None,
        min_count: Optional[dict[str, int]] = None,
        max_vocab_size: Union[int, dict[str, int], None] = None,
        non_padded_namespaces: Iterable[str] = DEFAULT_NON_PADDED_NAMESPACES,
        pretrained_files: Optional[dict[str, str]] = None,
        *args,
        **kwargs,
    ) -> None:
        non_padded_namespaces = {*non_padded_namespaces, f"*{_COUNTS}"}
        with reading_vectors(*pretrained_files.values()) if pretrained_files else nullcontext():
            super()._extend(
                counter, min_count, max_vocab_size, non_padded_namespaces, pretrained_files, *args, **kwargs
            )
        if counter is not None:
            self._keep_counts(counter)

    def _keep_counts(self, counter: dict[str, dict[str, int]]) -> None:
        for namespace in [name for name in self.get_namespaces() if name.endswith(_COUNTS)]:
            del self._token_to_index[namespace], self._index_to_token[namespace]
        for namespace, counts in counter.items():
            known = self.get_token_to_index_vocabulary(namespace)
            if self._padding_token in known:
                entries = [f"{count} {token}" for token, count in counts.items() if token in known]
                self.add_tokens_to_namespace(entries, namespace + _COUNTS)


Vocabulary.register("spigot", constructor="from_instances")(CountingVocabulary)
Vocabulary.register("spigot_extend", constructor="from_files_and_instances")(CountingVocabulary)


def token_counts(vocab: Vocabulary, namespace: str) -> dict[str, int]:
    """
    How often each token of a namespace occurs in the data that the vocabulary was made from. Empty, if it does not say:
    a framework's own vocabulary says it until it is saved.
    """
    counts = (vocab._retained_counter or {}).get(namespace)
    if counts or namespace + _COUNTS not in vocab.get_namespaces():
        return dict(counts or {})
    entries = (entry.partition(" ") for entry in vocab.get_token_to_index_vocabulary(namespace + _COUNTS))
    return {token: int(count) for count, _, token in entries}


@contextmanager
def reading_vectors(*files: str) -> Iterator[None]:
    """
    Where files of word vectors are read, and no others: what goes wrong there is explained, with the first line that is
    no vector where the error may come from one.
    """
    kinds = (
        EOFError,
        StopIteration,
        RuntimeError,
        ValueError,
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    )
    with naming(", ".join(files)), explained(OSError):
        with explained(*kinds, by=lambda error: _fault_of_vectors(files, error)):
            yield


def _fault_of_vectors(files: Iterable[str], error: BaseException) -> Optional[str]:
    for file in files if isinstance(error, (RuntimeError, ValueError)) else ():
        with suppress(Exception):
            with EmbeddingsTextFile(file) as lines:
                widths = Counter(line.rstrip().count(" ") for line in itertools.islice(lines, 1000))
            width = max(widths, key=widths.get)
            with EmbeddingsTextFile(file) as lines:
                for number, line in enumerate(lines, start=1 if lines.num_tokens is None else 2):
                    values = line.rstrip().split(" ")[1:]
                    for value in values if len(values) == width else ():  # others the framework passes over
                        if not _is_finite(value):
                            return f"{file}, line {number}: expected numbers such as -0.5, found {shortened(value)}"
    if isinstance(error, RuntimeError):  # what PyTorch says of vectors that are no numbers; or of something else
        return None
    return f"expected a text file of word vectors, found {describe(error)}"


def _is_finite(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
