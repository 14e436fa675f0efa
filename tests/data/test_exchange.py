import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot_allennlp.data.conll import format_conll, parse_conll, read_conll
from spigot_allennlp.data.exchange import from_conll, from_sdp, to_conll, to_sdp
from spigot_allennlp.data.mrp import from_mrp, to_mrp
from spigot_allennlp.data.sdp import HEADER, SdpSentence, format_sdp, parse_sdp, read_sdp
from tests import FIXTURES_ROOT, SHARED_DATA

# A newdoc, a comment between, a multiword token, empty nodes, two spaces in a form, features, DEPS and MISC.
RICH = """\
# newdoc id = d1
# sent_id = s1
# text = C'est du thé.
1	C'	ce	PRON	CL	_	5	nsubj	5:nsubj	SpaceAfter=No
2	est	être	AUX	V	Mood=Ind	5	cop	_	_
3-4	du	_	_	_	_	_	_	_	Typo=No
3	de	de	ADP	P	_	5	case	_	_
4	le	le	DET	D	_	5	det	_	_
5	thé  vert	thé	NOUN	N	_	0	root	0:root	SpaceAfter=No|Gloss=tea
5.1	vide	_	_	_	_	_	_	5:x	_
5.2	vide	_	_	_	_	_	_	5:x|5.1:y	_
6	.	_	PUNCT	.	_	5	punct	5.1:punct	_

"""
NO_TREE = "# sent_id = s2\n0.1\tx\t_\t_\t_\t_\t_\t_\t_\t_\n1\tGo\tgo\t_\tVB\t_\t_\tdep\t_\t_\n\n"
IN_MISC = """\
1	Go	go	_	VB	_	0	root	0:root	A=b|SDPGraph=2:ARG\\p1\\c|SDPFrame=go\\s1
2	n	n	_	N	_	1	x	_	SDPPredicate=No

"""
AN_SDP = """\
#id 1 of two words
# text = Yes it is
# sent_id = 1
1	Yes	yes	UH	+	-	_	_
2	it	it	PRP	-	-	_	ARG|1
3	is	be	VBZ	-	+	be.01	_

"""


def through_json(content):
    return json.loads(json.dumps(content))


def through_mrp(content):
    content, dropped = from_mrp(json.loads(json.dumps(to_mrp(content, 7))))
    assert not dropped and content.pop("mrp").keys() == {"framework", "version", "time"}
    return content


@pytest.mark.parametrize("through", [through_json, through_mrp])
@pytest.mark.parametrize("tag_column", ["xpos", "upos"])
@pytest.mark.parametrize("text", [RICH, NO_TREE, IN_MISC, RICH + NO_TREE])
def test_conllu_is_written_as_it_was_read(text, tag_column, through):
    contents = [through(from_conll(sentence, tag_column)) for sentence in parse_conll(text.splitlines())]
    written, dropped = zip(*(to_conll(content, tag_column) for content in contents), strict=True)
    assert "".join(map(format_conll, written)) == text
    assert not any(dropped)


_CELLS = st.text("ab:|=,_012. ", min_size=1, max_size=6) | st.sampled_from(["_", "0:root", "1:a", "2:b|3:c:d"])


@st.composite
def _rows(draw):
    size = draw(st.integers(1, 4))
    heads = draw(st.sampled_from([["_"] * size, [str(position) for position in range(size)]]))
    rows = [[str(position + 1), *draw(st.tuples(*[_CELLS] * 9))] for position in range(size)]
    for row, head in zip(rows, heads, strict=True):
        row[6] = head
    place = draw(st.integers(0, size))
    empty_node = [f"{place}.1", *draw(st.tuples(*[_CELLS] * 5)), *"____"]
    return [*rows[:place], empty_node, *rows[place:]]


@given(_rows(), st.sampled_from(["xpos", "upos"]))
def test_any_cells_are_written_as_they_were_read(rows, tag_column):
    text = "".join("\t".join(row) + "\n" for row in rows) + "\n"
    (sentence,) = parse_conll(text.split("\n"))
    for through in (through_json, through_mrp):
        written, _ = to_conll(through(from_conll(sentence, tag_column)), tag_column)
        assert format_conll(written) == text


@pytest.mark.parametrize("through", [through_json, through_mrp])
def test_sdp_is_written_as_it_was_read(through):
    (sentence,) = parse_sdp(AN_SDP.splitlines())
    assert sentence.sentence_id == "1"
    written, dropped = to_sdp(through(from_sdp(sentence)))
    assert format_sdp(written) == AN_SDP and not dropped


def _through_conllu(content):
    sentence, dropped = to_conll(content)
    assert not dropped
    return from_conll(next(parse_conll(format_conll(sentence).splitlines())))


def test_a_graph_goes_through_deps_and_back():
    sentence = SdpSentence(
        ["a", "b", "c"],
        ["_", "b", "c"],
        ["X", "Y", "_"],
        arcs=[(1, 2, "x:y"), (3, 2, "z")],
        tops=[1, 2],
        predicates=[1, 2, 3],
        frames=["_", "f,g|h i\\p", "_"],
        sentence_id="s",
        comments=[HEADER, "# note"],
    )
    written, _ = to_sdp(_through_conllu(from_sdp(sentence)))
    assert format_sdp(written) == format_sdp(sentence).replace(HEADER + "\n", "")


def test_labels_that_deps_cannot_hold_are_refused():
    (sentence,) = parse_sdp(AN_SDP.splitlines())
    with pytest.raises(ValueError, match=r"labels without \| for the column DEPS, found 'ARG|1'"):
        to_conll(from_sdp(sentence))


def test_what_sdp_does_not_hold_is_named():
    first, second = parse_conll((RICH + NO_TREE).splitlines())
    sentence, dropped = to_sdp(from_conll(first))
    assert dropped == {"deps", "extra_rows", "feats", "misc", "upos"}
    assert (sentence.heads, sentence.arcs, sentence.tops) == ([5, 5, 5, 5, 0, 5], [(5, 1, "nsubj")], [5])
    assert sentence.comments == ["# newdoc id = d1", "# sent_id = s1", "# text = C'est du thé."]
    assert to_sdp(from_conll(second))[1] == {"extra_rows", "head_tags"}
    assert to_sdp({**from_conll(first), "head_tags": None})[1] >= {"heads"}


def test_tags_stay_in_their_column():
    sentence = next(parse_conll(RICH.splitlines()))
    for column in ("xpos", "upos"):
        assert format_conll(to_conll(from_conll(sentence, column), "xpos")[0]) == RICH


def test_raw_text_says_where_spaces_are():
    content = {"tokens": ["Go", "on", "!"], "tags": ["_"] * 3, "lemmas": ["_"] * 3, "text": "Go  on!\n"}
    sentence, _ = to_conll(content)
    assert sentence.comments == ["# text = Go on!"]
    assert [row["misc"] for row in sentence.rows] == ["_", "SpaceAfter=No", "_"]
    sentence, dropped = to_conll({**content, "text": "Go away!"})
    assert dropped == {"text"} and sentence.comments == [] and sentence.rows[1]["misc"] == "_"


@pytest.mark.parametrize("cells", [["1", *"_" * 9], ["9.1", *"_" * 9], ["2-3", *"_" * 8], ["x"]])
def test_extra_rows_that_are_none_are_refused(cells):
    with pytest.raises(ValueError):
        to_conll({"tokens": ["Go"], "tags": ["_"], "lemmas": ["_"], "extra_rows": [cells]})


@pytest.mark.skipif(SHARED_DATA is None, reason="needs ../shared/data")
def test_ewt_through_every_format():
    for sentence in read_conll(SHARED_DATA / "ewt" / "dev.conllu"):
        content = from_conll(sentence)
        for through in (through_json, through_mrp):
            assert format_conll(to_conll(through(content))[0]) == format_conll(sentence)
        # What SDP holds comes back.
        (back,) = parse_sdp(format_sdp(to_sdp(content)[0]).splitlines())
        for key in ("tokens", "tags", "lemmas", "heads", "head_tags", "sentence_id", "comments"):
            assert from_sdp(back).get(key) == content.get(key)


@pytest.mark.parametrize(
    "path",
    [
        FIXTURES_ROOT / "ewt" / "dev.sdp",
        FIXTURES_ROOT / "toy" / "toy_augmented.sdp",
        *([] if SHARED_DATA is None else [SHARED_DATA / "sdp_sample" / "dm.sdp"]),
    ],
    ids=lambda path: path.name,
)
def test_sdp_through_every_format(path):
    for sentence in islice(read_sdp(path), 200):
        for through in (through_json, through_mrp, _through_conllu):
            written = format_sdp(to_sdp(through(from_sdp(sentence)))[0])
            assert written == format_sdp(sentence).replace(HEADER + "\n", "")


def test_a_graph_without_arcs_is_not_that_of_deps():
    row = "1\tgo\tgo\tVERB\tVB\t_\t0\troot\t0:root\tSpaceAfter=No\n\n"
    content = from_conll(next(parse_conll(row.splitlines())))
    written = format_conll(to_conll({**content, "arcs": [], "tops": [], "deps": ["0:root"]})[0])
    assert "0:root\tSpaceAfter=No|SDPGraph=_" in written
    found = from_conll(next(parse_conll(written.splitlines())))
    assert (found["arcs"], found["tops"], found["deps"]) == ([], [], ["0:root"])
