from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.data.sdp import parse_sdp
from spigot_allennlp.predictors.formats import to_conllu, to_sdp

SENTENCE = {"tokens": ["Anna", "sings"], "tags": ["NNP", "VBZ"], "lemmas": ["Anna", "sing"], "sentence_id": "s1"}
TREE = {"heads": [2, 0]}
LABELS = {"head_tags": ["nsubj", "root"]}
GRAPH = {"arcs": [[2, 1, "ARG0"]], "tops": [2]}


def test_sdp():
    (sentence,) = parse_sdp(to_sdp({**SENTENCE, **GRAPH}).splitlines())
    assert (sentence.forms, sentence.lemmas, sentence.tags) == tuple(
        SENTENCE[key] for key in ("tokens", "lemmas", "tags")
    )
    assert (sentence.arcs, sentence.tops, sentence.sentence_id) == ([(2, 1, "ARG0")], [2], "s1")
    assert sentence.heads is None


def test_sdp_has_trees_with_labels():
    (sentence,) = parse_sdp(to_sdp({**SENTENCE, **TREE, **LABELS, **GRAPH}).splitlines())
    assert (sentence.heads, sentence.deprels) == ([2, 0], ["nsubj", "root"])
    (sentence,) = parse_sdp(to_sdp({**SENTENCE, **TREE, **GRAPH}).splitlines())
    assert sentence.heads is None


def test_conllu():
    (sentence,) = parse_conll(to_conllu({**SENTENCE, **TREE, **LABELS, **GRAPH}).splitlines())
    assert (sentence.forms, sentence.lemmas, sentence.xpos) == tuple(
        SENTENCE[key] for key in ("tokens", "lemmas", "tags")
    )
    assert (sentence.heads, sentence.deprels, sentence.sentence_id) == ([2, 0], ["nsubj", "root"], "s1")


def test_conllu_of_a_tree_without_labels_or_id():
    (sentence,) = parse_conll(to_conllu({**SENTENCE, **TREE, "sentence_id": None}).splitlines())
    assert (sentence.heads, sentence.deprels, sentence.sentence_id) == ([2, 0], ["_", "_"], None)
