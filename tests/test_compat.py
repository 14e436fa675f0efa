import pytest
from allennlp.common import cached_transformers
from transformers import PreTrainedTokenizerBase

from spigot_allennlp import compat


def test_tokenizers_are_repaired_only_where_they_need_it(monkeypatch):
    repaired = cached_transformers.get_tokenizer
    monkeypatch.setattr(cached_transformers, "get_tokenizer", original := lambda name, **kwargs: (name, kwargs))
    compat.repair()
    try:
        PreTrainedTokenizerBase(add_special_tokens=False)
    except AttributeError:
        assert cached_transformers.get_tokenizer("x", add_special_tokens=False, use_fast=True) == (
            "x",
            {"use_fast": True},
        )
        assert repaired.__wrapped__  # importing the package has repaired the real one
    else:
        assert cached_transformers.get_tokenizer is original


def test_a_library_that_takes_the_argument_is_left_alone(monkeypatch):
    monkeypatch.setattr(compat, "PreTrainedTokenizerBase", lambda add_special_tokens: None)
    before = cached_transformers.get_tokenizer
    compat.repair()
    assert cached_transformers.get_tokenizer is before


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(add_special_tokens):
        raise RuntimeError("something else")

    monkeypatch.setattr(compat, "PreTrainedTokenizerBase", broken)
    with pytest.raises(RuntimeError):
        compat.repair()
