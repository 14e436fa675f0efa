import json

import pytest

from spigot_allennlp.data.conll import parse_conll
from spigot_allennlp.data.dataset_readers import ConlluReader
from spigot_allennlp.data.sdp import parse_sdp
from spigot_allennlp.predictors.formats import Output, to_conllu, to_mrp, to_sdp

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


RICH = """\
# newdoc id = d1
# sent_id = s1
1	Anna	Anna	PROPN	NNP	Number=Sing	3	dep	3:dep	SpaceAfter=No
1.1	x	_	_	_	_	_	_	2:x	_
2-3	singsy	_	_	_	_	_	_	_	_
2	sings	sing	VERB	VBZ	_	0	root	0:root	Gloss=a
3	y	y	ADV	RB	_	2	advmod	_	_

"""
IN_SDP = """\
#SDP 2015
# text = Anna sings y
# sent_id = s1
1	Anna	Anna	NNP	-	-	_	_
2	sings	sing	VBZ	-	-	sing.01	_
3	y	y	RB	-	+	_	_

"""
WORDS = {"tokens": ["Anna", "sings", "y"], "lemmas": ["Anna", "sing", "y"], "sentence_id": "s1"}


def output(prediction, tags, **source):
    return Output(prediction, {**WORDS, "tags": tags, "source": source})


class TestWithSource:
    """What a file has besides goes out again."""

    def test_a_tree(self):
        prediction = {"heads": [2, 0, 1], "head_tags": ["nsubj", "root", "obl"]}
        expected = RICH.replace("3\tdep\t", "2\tnsubj\t").replace("2\tadvmod", "1\tobl")
        assert to_conllu(output(prediction, ["NNP", "VBZ", "RB"], conllu=RICH)) == expected
        reader = ConlluReader(tag_column="upos")
        assert to_conllu(output(prediction, ["PROPN", "VERB", "ADV"], conllu=RICH), reader) == expected
        del prediction["head_tags"]  # gold labels do not go with predicted heads
        written = to_conllu(output(prediction, ["NNP", "VBZ", "RB"], conllu=RICH))
        assert written == expected.replace("nsubj", "_").replace("0\troot", "0\t_").replace("1\tobl", "1\t_")

    @pytest.mark.parametrize("graphs", ["none", "deps"])
    def test_a_graph(self, graphs):
        prediction = {"arcs": [[2, 1, "ARG0"]], "tops": [2]}
        written = to_conllu(output(prediction, ["NNP", "VBZ", "RB"], conllu=RICH), ConlluReader(graphs=graphs))
        if graphs == "deps":
            assert written == RICH.replace("3:dep", "2:ARG0")
        else:
            expected = RICH.replace("SpaceAfter=No", "SpaceAfter=No|SDPGraph=2:ARG0")
            assert written == expected.replace("Gloss=a", "Gloss=a|SDPGraph=0:root")

    def test_an_sdp(self):
        prediction = {"arcs": [[2, 1, "ARG0"]], "tops": [2]}
        (sentence,) = parse_sdp(to_sdp(output(prediction, ["NNP", "VBZ", "RB"], sdp=IN_SDP)).splitlines())
        assert sentence.frames == ["_", "sing.01", "_"] and sentence.predicates == [2]
        assert (sentence.arcs, sentence.tops) == ([(2, 1, "ARG0")], [2])
        assert sentence.comments == ["# text = Anna sings y", "# sent_id = s1"]

    def test_of_two_sources_the_one_of_the_format_is_written_again(self):
        both = output({"heads": [2, 0, 2]}, ["NNP", "VBZ", "RB"], sdp=IN_SDP, conllu=RICH)
        assert "# newdoc" in to_conllu(both) and "# newdoc" not in to_sdp(both)
        assert "SDPFrame=sing.01" in to_conllu(both)

    def test_json_has_none_of_it(self):
        assert output({"heads": [2, 0, 2]}, ["NNP"], conllu=RICH) == {**WORDS, "tags": ["NNP"], "heads": [2, 0, 2]}


def test_raw_text_is_written_with_it():
    (sentence,) = parse_conll(to_conllu(output({"heads": [2, 0, 2]}, ["X"] * 3, text="Anna singsy")).splitlines())
    assert sentence.comments == ["# sent_id = s1", "# text = Anna singsy"]
    assert [word["misc"] for word in sentence.words] == ["_", "SpaceAfter=No", "_"]


def test_tags_are_in_their_column():
    (sentence,) = parse_conll(to_conllu({**SENTENCE, **TREE}, ConlluReader(tag_column="upos")).splitlines())
    assert (sentence.upos, sentence.xpos) == (SENTENCE["tags"], ["_", "_"])


def test_mrp():
    line = json.loads(to_mrp({**SENTENCE, **GRAPH}, 1))
    assert (line["id"], line["tops"], line["edges"]) == ("s1", [1], [{"source": 1, "target": 0, "label": "ARG0"}])
    assert json.loads(to_mrp({**SENTENCE, **GRAPH, "sentence_id": None}, 3))["id"] == "3"
