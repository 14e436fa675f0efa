"""
Repairs to AllenNLP 2.10.1 where a library of today has moved on. Each is made only where a test shows that it is
needed, and touches only what this package uses.
"""

import functools

from allennlp.common import cached_transformers
from transformers import PreTrainedTokenizerBase


def repair() -> None:
    """Makes the repairs that are needed."""
    if not _tokenizers_take_add_special_tokens():
        cached_transformers.get_tokenizer = _without_add_special_tokens(cached_transformers.get_tokenizer)


def _tokenizers_take_add_special_tokens() -> bool:
    """Newer tokenizers refuse an argument that is named like one of their methods, and AllenNLP gives them this one."""
    try:
        PreTrainedTokenizerBase(add_special_tokens=False)
    except AttributeError:
        return False
    return True


def _without_add_special_tokens(get_tokenizer):
    """Without the argument nothing changes: AllenNLP repeats it in every call that tokenizes."""

    @functools.wraps(get_tokenizer)
    def repaired(model_name: str, add_special_tokens: bool = True, **kwargs):
        return get_tokenizer(model_name, **kwargs)

    return repaired
