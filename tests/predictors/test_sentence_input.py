from types import SimpleNamespace

from spigot_allennlp.data.tagger import TaggedSentence
from spigot_allennlp.predictors.sentence_input import ConstrainedSentence, read_sentences


def test_what_is_known_of_a_tree_may_come_without_tags():
    tagger = SimpleNamespace(tag=lambda tokens: TaggedSentence(["other"], ["X"], ["x"], "other"))
    (sentence,) = read_sentences({"tokens": ["a"], "heads": [0]}, tagger)
    assert sentence == ConstrainedSentence(["a"], ["X"], ["x"], [0], [])
