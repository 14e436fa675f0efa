"""How probable a prediction is, in the column MISC of CoNLL-U."""

from allennlp.common.util import JsonDict

KEYS = {"head_probabilities": "HeadProb", "head_tag_probabilities": "DeprelProb"}
"""What the probabilities of an output are called in MISC."""


def misc_of(output: JsonDict, token: int) -> dict[str, str]:
    """The keys and values that a predicted tree adds to the MISC of a token, counted from 0: none without `scores`."""
    return {key: str(output[name][token]) for name, key in KEYS.items() if name in output}
