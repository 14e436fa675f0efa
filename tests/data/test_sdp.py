import io
import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sdp import HEADER, SdpSentence, format_sdp, parse_sdp, read_sdp
from tests import FIXTURES_ROOT, SHARED_DATA

PLAIN = """\
#SDP 2015
#first
1	Dogs	dog	NNS	-	-	_	ARG0
2	bark	bark	VBP	+	+	bark.01	_

#second
1	Yes	_	UH	-	-	_

"""
AUGMENTED = """\
#SDP 2015
#first
1	Dogs	dog	NNS	2	nsubj	-	-	_	ARG0
2	bark	bark	VBP	0	root	+	+	bark.01	_

"""

# (what is wrong, the file, a part of it, what stands there instead, the line and the sentence at fault, the message)
MALFORMED = [
    ("too few columns", PLAIN, "Yes\t_\tUH\t-\t-\t_", "Yes\t_\tUH\t-\t-", 7, "second", "at least 7 columns, found 6"),
    ("a lone form", PLAIN, "1\tYes\t_\tUH\t-\t-\t_", "Yes", 7, "second", "at least 7 columns, found 1"),
    ("spaces for tabs", PLAIN, "1\tYes\t_\tUH\t-\t-\t_", "1 Yes _ UH - - _", 7, "second", "at least 7 columns"),
    ("argument column without predicate", PLAIN, "UH\t-\t-\t_", "UH\t-\t-\t_\t_", 7, "second", "each of the 0 pred"),
    ("predicate without argument column", PLAIN, "UH\t-\t-\t_", "UH\t-\t+\t_", 7, "second", "8 columns, 7 and one"),
    ("ragged argument columns", PLAIN, "bark.01\t_", "bark.01\t_\t_", 4, "first", "expected 8 columns"),
    ("no flag at the top", PLAIN, "VBP\t+\t+", "VBP\tyes\t+", 4, "first", "+ or - in column 5 (top), found 'yes'"),
    (
        "no flag at the predicate",
        PLAIN,
        "VBP\t+\t+",
        "VBP\t+\t*",
        4,
        "first",
        "+ or - in column 6 (predicate), found '*'",
    ),
    ("an arc to itself", PLAIN, "bark.01\t_", "bark.01\tARG1", 4, "first", "no arc from 2 to itself, found 'ARG1'"),
    ("ids not consecutive", PLAIN, "2\tbark", "3\tbark", 4, "first", "expected the id 2, found '3'"),
    ("ids from 0", PLAIN, "1\tYes", "0\tYes", 7, "second", "expected the id 1, found '0'"),
    ("an id that is no number", PLAIN, "1\tYes", "x\tYes", 7, "second", "expected the id 1, found 'x'"),
    ("an empty cell", PLAIN, "\tdog\t", "\t\t", 3, "first", "a value in column 3, found nothing"),
    ("a row of tabs", PLAIN, "\n\n#second", "\n\t\t\t\n#second", 5, "first", "a value in column 1, found nothing"),
    ("a duplicate id", PLAIN, "#second", "#first", 6, "first", "a new sentence id, found the one of line 1"),
    ("no empty line", PLAIN, "\n\n#second", "\n#second", 5, "first", "expected an empty line"),
    ("an id without rows", PLAIN, "#second", "#third\n\n#second", 6, "third", "the rows of a sentence"),
    ("a head out of range", AUGMENTED, "2\tnsubj", "3\tnsubj", 3, "first", "a head from 0 to 2, found 3"),
    ("a negative head", AUGMENTED, "2\tnsubj", "-1\tnsubj", 3, "first", "a number in column 5 (head), found '-1'"),
    ("a head that is no number", AUGMENTED, "0\troot", "_\troot", 4, "first", "a number in column 5 (head), found '_'"),
    ("a head with a leading zero", AUGMENTED, "2\tnsubj", "02\tnsubj", 3, "first", "column 5 (head), found '02'"),
    ("its own head", AUGMENTED, "2\tnsubj", "1\tnsubj", 3, "first", "an arc from 1 to itself"),
    ("a cycle", AUGMENTED, "0\troot", "1\troot", 3, "first", "found a cycle"),
    ("no flag, augmented", AUGMENTED, "nsubj\t-", "nsubj\t?", 3, "first", "+ or - in column 7 (top), found '?'"),
    ("ragged columns, augmented", AUGMENTED, "bark.01\t_", "bark.01", 4, "first", "expected 10 columns, 9 and one"),
]


@pytest.mark.parametrize(
    "text, old, new, line, sentence_id, expected", [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
def test_a_malformed_line_is_named(tmp_path, text, old, new, line, sentence_id, expected):
    assert text.count(old) == 1
    path = tmp_path / "bad.sdp"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(FormatError) as info:
        list(read_sdp(path))
    assert str(info.value).startswith(f"{path}, line {line}, sentence '{sentence_id}': expected ")
    assert expected in str(info.value)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = tmp_path / "latin.sdp"
    path.write_bytes(PLAIN.replace("Yes", "Oui, été").encode("latin-1"))
    with pytest.raises(FormatError) as info:
        list(read_sdp(path))
    assert str(info.value) == f"{path}, line 7, sentence 'second': expected UTF-8, found the byte 0xe9"


@pytest.mark.parametrize("content", ["", "\n", "\n \n\n"])
def test_an_empty_file_is_an_error(tmp_path, content):
    path = tmp_path / "empty.sdp"
    path.write_text(content)
    with pytest.raises(FormatError, match=r"empty\.sdp, line 1: expected at least one sentence, found an empty file"):
        list(read_sdp(path))


def test_sentences_before_the_malformed_one_are_yielded():
    sentences = parse_sdp(PLAIN.replace("1\tYes", "x\tYes").splitlines())
    assert next(sentences).sentence_id == "first"
    with pytest.raises(FormatError, match="<lines>, line 7, sentence 'second'"):
        next(sentences)


def test_reading_is_lazy():
    endless = (line for _ in itertools.count() for line in ("1\tYes\t_\tUH\t-\t-\t_", ""))
    sentences = list(itertools.islice(parse_sdp(endless), 3))
    assert [sentence.line for sentence in sentences] == [1, 3, 5]


def test_plain_sentence():
    first, second = parse_sdp(PLAIN.splitlines())
    assert first == SdpSentence(
        forms=["Dogs", "bark"],
        lemmas=["dog", "bark"],
        tags=["NNS", "VBP"],
        arcs=[(2, 1, "ARG0")],
        tops=[2],
        predicates=[2],
        frames=["_", "bark.01"],
        sentence_id="first",
        comments=[HEADER],
    )
    assert first.line == 1
    assert second == SdpSentence(["Yes"], ["_"], ["UH"], frames=["_"], sentence_id="second")
    assert second.line == 6


def test_augmented_sentence_is_the_plain_one_with_a_tree():
    (augmented,) = parse_sdp(AUGMENTED.splitlines())
    plain, _ = parse_sdp(PLAIN.splitlines())
    assert augmented == replace(plain, heads=[2, 0], deprels=["nsubj", "root"])


def test_the_id_is_not_any_comment():
    ids = {
        "# text = Yes .\n# sent_id = 1": "1",
        "# text = Yes .\n#1": "1",
        "#SDP 2015\n\n#1": "1",
        "#note\n# sent_id = one two": "one two",
        "# text = Yes .": None,
        "#text=Yes": None,
        "# of a book": None,
    }
    for comments, sentence_id in ids.items():
        text = f"{comments}\n1\tYes\tyes\tUH\t-\t-\t_\n\n"
        (sentence,) = parse_sdp(text.splitlines())
        assert sentence.sentence_id == sentence_id
        assert format_sdp(sentence) == text.replace("2015\n\n", "2015\n")


def test_an_id_is_written_so_that_it_is_read():
    sentence = SdpSentence(["Yes"], ["yes"], ["UH"], frames=["_"], comments=[HEADER, "# sent_id = old", "#note"])
    for sentence_id in ("new", "one two", "a=b"):
        sentence.sentence_id = sentence_id
        (again,) = parse_sdp(format_sdp(sentence).splitlines())
        assert (again.sentence_id, again.comments[0]) == (sentence_id, HEADER)
        assert "#note" in again.comments and "# sent_id = old" not in again.comments


def test_lines_are_counted_over_an_empty_one_below_comments():
    with pytest.raises(FormatError, match=r"line 4, sentence '1': expected the id 1, found '2'"):
        list(parse_sdp([HEADER, "", "#1", "2\tYes\tyes\tUH\t-\t-\t_"]))


def test_ids_may_occur_twice_where_that_is_asked_for():
    lines = PLAIN.replace("#second", "#first").splitlines()
    assert [sentence.sentence_id for sentence in parse_sdp(lines, unique_ids=False)] == ["first", "first"]


def _without_frames(text, column):
    rows = [line.split("\t") for line in text.splitlines()]
    return ["\t".join(row[:column] + row[column + 1 :]) for row in rows]


@pytest.mark.parametrize("text, column", [(PLAIN, 6), (AUGMENTED, 8), (PLAIN[PLAIN.index("#second") :], 6)])
def test_sdp_2014_is_named_and_can_be_read(text, column):
    lines = _without_frames(text, column)
    with pytest.raises(FormatError, match=r"found \d; is this SDP 2014, which has no column frame\?"):
        list(parse_sdp(lines))
    expected = [replace(sentence, frames=["_"] * len(sentence.forms)) for sentence in parse_sdp(text.splitlines())]
    assert list(parse_sdp(lines, has_frames=False)) == expected


def test_heads_that_are_all_missing_are_no_tree():
    text = AUGMENTED.replace("2\tnsubj", "_\t_").replace("0\troot", "_\t_")
    plain, _ = parse_sdp(PLAIN.splitlines())
    assert list(parse_sdp(text.splitlines())) == [plain]
    with pytest.raises(FormatError, match=r"line 3, sentence 'first': expected a number in column 5"):
        list(parse_sdp(AUGMENTED.replace("2\tnsubj", "_\t_").splitlines()))


def test_toy_files_differ_only_in_the_tree():
    plain = list(read_sdp(FIXTURES_ROOT / "toy" / "toy.sdp"))
    augmented = list(read_sdp(FIXTURES_ROOT / "toy" / "toy_augmented.sdp"))
    assert all(sentence.heads is not None for sentence in augmented)
    assert [replace(sentence, heads=None, deprels=None) for sentence in augmented] == plain


@pytest.mark.parametrize("change", ["\r\n", " \n", "missing"])
def test_line_ends_and_blanks_are_tolerated(change):
    if change == "missing":
        text = PLAIN.rstrip("\n")
    elif change == "\r\n":
        text = PLAIN.replace("\n", "\r\n")
    else:
        text = PLAIN.replace("\n\n", "\n \n\n")
    assert list(parse_sdp(io.BytesIO(text.encode()))) == list(parse_sdp(PLAIN.splitlines()))


def test_a_graph_is_written_from_arcs_and_tops_alone():
    sentence = SdpSentence(
        ["Dogs", "that", "bark", "bite"],
        ["dog", "that", "bark", "bite"],
        ["NNS", "WDT", "VBP", "VBP"],
        arcs=[(4, 1, "ARG0"), (3, 1, "ARG0"), (3, 2, "R-ARG0")],
        tops=[4],
    )
    assert format_sdp(sentence) == (
        "1\tDogs\tdog\tNNS\t-\t-\t_\tARG0\tARG0\n"
        "2\tthat\tthat\tWDT\t-\t-\t_\tR-ARG0\t_\n"
        "3\tbark\tbark\tVBP\t-\t+\t_\t_\t_\n"
        "4\tbite\tbite\tVBP\t+\t+\t_\t_\t_\n\n"
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"arcs": [(1, 3, "ARG0")]}, "positions from 1 to 2, found 3"),
        ({"arcs": [(0, 1, "TOP")]}, "positions from 1 to 2, found 0"),
        ({"tops": [3]}, "positions from 1 to 2, found 3"),
        ({"predicates": [-1]}, "positions from 1 to 2, found -1"),
        ({"arcs": [(1, 1, "ARG0")]}, "at most one arc"),
        ({"arcs": [(1, 2, "_")]}, "at most one arc"),
        ({"arcs": [(1, 2, "ARG0"), (1, 2, "ARG1")]}, "at most one arc"),
        ({"arcs": [(1, 2, "")]}, "not empty"),
        ({"sentence_id": "a\nb"}, "has no line end"),
        ({"comments": ["text"]}, "begins with #"),
        ({"forms": [], "lemmas": [], "tags": [], "arcs": [], "tops": []}, "at least one row"),
        ({"forms": ["a", "b\tc"]}, "no tab or line end"),
        ({"forms": ["a", "b\n"]}, "no tab or line end"),
        ({"forms": ["a"]}, "positions from 1 to 1, found 2"),
        ({"lemmas": ["a"]}, "shorter"),
        ({"frames": ["a"]}, "shorter"),
        ({"heads": [2, 0]}, "shorter"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(change, message):
    sentence = SdpSentence(["Dogs", "bark"], ["dog", "bark"], ["NNS", "VBP"], arcs=[(2, 1, "ARG0")], tops=[2])
    format_sdp(sentence)
    with pytest.raises(ValueError, match=message):
        format_sdp(replace(sentence, **change))


_FILES = ["ewt/train.sdp", "ewt/dev.sdp", "toy/toy.sdp", "toy/toy_augmented.sdp"]


@pytest.mark.parametrize("file", _FILES)
def test_fixtures_are_written_as_they_were_read(file):
    path = FIXTURES_ROOT / file
    assert "".join(map(format_sdp, read_sdp(path))).encode() == path.read_bytes()


@pytest.mark.skipif(SHARED_DATA is None, reason="needs ../shared/data")
@pytest.mark.parametrize("file, count", [("ewt/train.sdp", 12536), ("ewt/dev.sdp", 1973), ("sdp_sample/dm.sdp", 89)])
def test_corpora_are_written_as_they_were_read(file, count):
    path = SHARED_DATA / file
    sentences = list(read_sdp(path))
    assert len(sentences) == count
    assert "".join(map(format_sdp, sentences)).encode() == path.read_bytes()


_CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\t\n\r"), min_size=1, max_size=4)


@st.composite
def _sentences(draw, sentence_id=None):
    size = draw(st.integers(1, 6))
    positions = range(1, size + 1)
    column = st.lists(_CELLS, min_size=size, max_size=size)
    pairs = [(predicate, argument) for predicate in positions for argument in positions if predicate != argument]
    labels = draw(st.dictionaries(st.sampled_from(pairs), _CELLS.filter("_".__ne__))) if pairs else {}
    marked = draw(st.sets(st.sampled_from(positions)))
    sentence = SdpSentence(
        *(draw(column) for _ in range(3)),
        arcs=sorted((predicate, argument, label) for (predicate, argument), label in labels.items()),
        tops=sorted(draw(st.sets(st.sampled_from(positions)))),
        predicates=sorted(marked | {predicate for predicate, _ in labels}),
        frames=draw(column),
        sentence_id=sentence_id,
    )
    if sentence_id is not None:
        sentence.comments = draw(st.sampled_from([[], [HEADER], ["# text = x"], [HEADER, "# text = x", "#"]]))
    if draw(st.booleans()):
        order = draw(st.permutations(positions))
        above = {position: [0, *order[:index]] for index, position in enumerate(order)}
        sentence.heads = [draw(st.sampled_from(above[position])) for position in positions]
        sentence.deprels = draw(column)
    return sentence


@given(
    st.lists(st.sampled_from("abcdef"), unique=True, min_size=1, max_size=3).flatmap(
        lambda ids: st.tuples(*map(_sentences, ids))
    )
    | _sentences().map(lambda sentence: (sentence,))
)
def test_what_is_written_is_read_back(sentences):
    text = "".join(map(format_sdp, sentences))
    assert tuple(parse_sdp(io.BytesIO(text.encode()))) == sentences
