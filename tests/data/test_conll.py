import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot_allennlp.data.conll import ConllSentence, format_conll, parse_conll, read_conll
from spigot_allennlp.data.format_error import FormatError
from tests import FIXTURES_ROOT, SHARED_DATA

TEXT = """\
# newdoc
# sent_id = first
# text = Mia can't swim
1	Mia	Mia	PROPN	NNP	_	4	nsubj	_	_
2-3	can't	_	_	_	_	_	_	_	_
2	ca	can	AUX	MD	_	4	aux	_	_
3	n't	not	PART	RB	_	4	advmod	_	_
3.1	really	_	_	_	_	_	_	4:advmod	_
4	swim	swim	VERB	VB	VerbForm=Inf	0	root	_	SpaceAfter=No

# sent_id = second
1	Yes	yes	INTJ	UH	_	0	root	_	_

"""

# (what is wrong, a part of the file, what stands there instead, the line and the sentence at fault, the message)
MALFORMED = [
    ("too few columns", "INTJ\tUH\t_\t0", "INTJ\tUH\t0", 12, "second", "expected 10 columns, found 9"),
    ("too many columns", "INTJ\tUH\t_", "INTJ\tUH\t_\t_", 12, "second", "expected 10 columns, found 11"),
    ("a head out of range", "NNP\t_\t4", "NNP\t_\t5", 4, "first", "a head from 0 to 4, found 5"),
    ("a negative head", "NNP\t_\t4", "NNP\t_\t-1", 4, "first", "a head from 0 to 4, found -1"),
    ("a head that is no number", "NNP\t_\t4", "NNP\t_\tx", 4, "first", "an id and a head: 'x'"),
    ("a head missing", "RB\t_\t4", "RB\t_\t_", 7, "first", "expected a head, as other words have one, found _"),
    ("its own head", "RB\t_\t4", "RB\t_\t3", 7, "first", "an arc from 3 to itself"),
    ("a cycle", "VerbForm=Inf\t0", "VerbForm=Inf\t3", 9, "first", "found a cycle"),
    ("ids not consecutive", "3\tn't", "4\tn't", 7, "first", "ids that count the words from 1, found '4'"),
    ("ids from 0", "1\tYes", "0\tYes", 12, "second", "ids that count the words from 1, found '0'"),
    ("an id that is no number", "1\tYes", "x\tYes", 12, "second", "an id and a head: 'x'"),
    ("no id", "1\tYes", "_\tYes", 12, "second", "ids that count the words from 1, found '_'"),
    ("a range out of place", "2-3\t", "3-4\t", 5, "first", "ids that count the words from 1, found '3-4'"),
    ("a range past the end", "2-3\t", "2-5\t", 5, "first", "ids that count the words from 1, found '2-5'"),
    ("an empty node out of place", "3.1\t", "2.1\t", 8, "first", "ids that count the words from 1, found '2.1'"),
    (
        "empty nodes only",
        "1\tYes\tyes\tINTJ\tUH\t_\t0",
        "0.1\tYes\tyes\tINTJ\tUH\t_\t_",
        12,
        "second",
        "at least one word",
    ),
    ("an empty cell", "\tnot\t", "\t\t", 7, "first", "a value in column 3, found nothing"),
    (
        "a duplicate id",
        "# sent_id = second",
        "#sent_id=first",
        11,
        "first",
        "a new sentence id, found the one of line 1",
    ),
    ("no empty line", "\n\n# sent_id = second", "\n# sent_id = second", 10, "first", "expected an empty line"),
    ("an id without rows", "# sent_id = second", "# sent_id = x\n\n# a", 11, "x", "the rows of a sentence"),
]


@pytest.mark.parametrize(
    "old, new, line, sentence_id, expected", [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
def test_a_malformed_line_is_named(tmp_path, old, new, line, sentence_id, expected):
    assert TEXT.count(old) == 1
    path = tmp_path / "bad.conllu"
    path.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(FormatError) as info:
        list(read_conll(path))
    assert str(info.value).startswith(f"{path}, line {line}, sentence '{sentence_id}': expected ")
    assert expected in str(info.value)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = tmp_path / "latin.conllu"
    path.write_bytes(TEXT.replace("Yes", "été").encode("latin-1"))
    with pytest.raises(FormatError) as info:
        list(read_conll(path))
    assert str(info.value) == f"{path}, line 12, sentence 'second': expected UTF-8, found the byte 0xe9"


def test_an_empty_file_is_an_error(tmp_path):
    path = tmp_path / "empty.conllu"
    path.write_text("\n")
    with pytest.raises(FormatError, match=r"empty\.conllu, line 1: expected at least one sentence"):
        list(read_conll(path))


def test_words_are_without_ranges_and_empty_nodes():
    first, second = parse_conll(TEXT.splitlines())
    assert first.sentence_id == "first"
    assert first.line == 1
    assert first.forms == ["Mia", "ca", "n't", "swim"]
    assert first.lemmas == ["Mia", "can", "not", "swim"]
    assert first.upos == ["PROPN", "AUX", "PART", "VERB"]
    assert first.xpos == ["NNP", "MD", "RB", "VB"]
    assert first.heads == [4, 4, 4, 0]
    assert first.deprels == ["nsubj", "aux", "advmod", "root"]
    assert len(first.rows) == 6
    assert second.line == 11


def test_several_roots_are_a_tree():
    (sentence,) = parse_conll(["1\ta\ta\tX\tX\t_\t0\troot\t_\t_", "2\tb\tb\tX\tX\t_\t0\troot\t_\t_"])
    assert sentence.heads == [0, 0]
    assert sentence.sentence_id is None


def test_a_sentence_without_heads_has_no_tree():
    (sentence,) = parse_conll(["1\ta\ta\tX\tX\t_\t_\t_\t_\t_", "2\tb\tb\tX\tX\t_\t_\t_\t_\t_"])
    assert sentence.forms == ["a", "b"]
    assert sentence.heads is None
    assert sentence.deprels is None


def test_everything_is_written_as_it_was_read():
    # Two comments of one key, one without a value, two spaces in a form, and features in an order of their own.
    odd = TEXT.replace("# newdoc", "# newdoc\n#note = a\n# note = b").replace("Mia\tMia", "Mia  M\tMia")
    odd = odd.replace("VerbForm=Inf", "VerbForm=Inf|Case=Nom|VerbForm=Inf")
    assert "".join(map(format_conll, parse_conll(odd.splitlines()))) == odd


def test_comments_with_an_empty_line_below_are_those_of_the_next_sentence():
    (sentence,) = parse_conll(["# newdoc id = d1", "", "", "# sent_id = a", "1\tGo\t_\tX\tX\t_\t0\troot\t_\t_"])
    assert sentence.comments == ["# newdoc id = d1", "# sent_id = a"]
    with pytest.raises(FormatError, match="line 1: expected the rows of a sentence after its comments, found none"):
        list(parse_conll(["# newdoc id = d1", ""]))
    with pytest.raises(FormatError, match="line 4, sentence 'a': expected 10 columns, found 1"):
        list(parse_conll(["# newdoc", "", "# sent_id = a", "1"]))


def test_a_tree_is_written_from_its_words():
    sentence = ConllSentence.from_tree(
        ["Dogs", "bark"], ["dog", "bark"], ["NNS", "VBP"], [2, 0], ["nsubj", "root"], "d1"
    )
    assert format_conll(sentence) == (
        "# sent_id = d1\n1\tDogs\tdog\t_\tNNS\t_\t2\tnsubj\t_\t_\n2\tbark\tbark\t_\tVBP\t_\t0\troot\t_\t_\n\n"
    )


@pytest.mark.parametrize("form", ["", "a\tb", "a\n"])
def test_what_could_not_be_read_back_is_not_written(form):
    with pytest.raises(ValueError, match="not empty and has no tab or line end"):
        format_conll(ConllSentence.from_tree([form], ["a"], ["X"], [0], ["root"]))


@pytest.mark.parametrize("file", ["ewt/train.conllu", "ewt/dev.conllu", "toy/toy.conllu"])
def test_fixtures_are_written_as_they_were_read(file):
    path = FIXTURES_ROOT / file
    assert "".join(map(format_conll, read_conll(path))).encode() == path.read_bytes()


@pytest.mark.skipif(SHARED_DATA is None, reason="needs ../shared/data")
@pytest.mark.parametrize("file, count", [("ewt/train.conllu", 12536), ("ewt/dev.conllu", 1973)])
def test_corpora_are_written_as_they_were_read(file, count):
    path = SHARED_DATA / file
    sentences = list(read_conll(path))
    assert len(sentences) == count
    assert "".join(map(format_conll, sentences)).encode() == path.read_bytes()


_CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\t\n\r"), min_size=1, max_size=4)


@st.composite
def _trees(draw):
    size = draw(st.integers(1, 6))
    column = st.lists(_CELLS, min_size=size, max_size=size)
    order = draw(st.permutations(range(1, size + 1)))
    heads = [0] * size
    for index, position in enumerate(order):
        heads[position - 1] = draw(st.sampled_from([0, *order[:index]]))
    return ConllSentence.from_tree(*(draw(column) for _ in range(3)), heads, draw(column))


@given(st.lists(_trees(), min_size=1, max_size=3))
def test_what_is_written_is_read_back(sentences):
    text = "".join(map(format_conll, sentences))
    assert list(parse_conll(io.BytesIO(text.encode()))) == sentences
