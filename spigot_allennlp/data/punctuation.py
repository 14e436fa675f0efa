"""Which tokens the figures without punctuation leave out, by the convention of each kind of treebank."""

from collections.abc import Sequence

PUNCTUATION_TAGS = {
    "ud": frozenset({"PUNCT"}),
    "ptb": frozenset({"``", "''", ":", ",", "."}),
    "ctb": frozenset({"PU"}),
}
"""
The tags of punctuation: in Universal Dependencies those of the column UPOS, in the Penn and in the Chinese Treebank the
parts of speech themselves.
"""


def is_punctuation(tags: Sequence[str], convention: str) -> list[bool]:
    """For each tag, whether it is one of punctuation by a convention, a key of `PUNCTUATION_TAGS`."""
    return [tag in PUNCTUATION_TAGS[convention] for tag in tags]
