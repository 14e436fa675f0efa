import pytest

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.data.sentiment import SentimentSentence, read_sentiment
from tests import FIXTURES_ROOT

ROWS = "# instance 7\n1\tGood\tgood\tJJ\t1\n2\tfun\tfun\tNN\t1\n\n# instance 8\n1\tBad\tbad\tJJ\t0\n"


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "file.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read_sentiment(path, "file.txt"))

    return read


def test_rows_of_tokens(read):
    first, second = read(ROWS)
    assert first == SentimentSentence(
        "1", tokens=["Good", "fun"], tags=["JJ", "NN"], lemmas=["good", "fun"], sentence_id="7"
    )
    assert (first.line, second.line) == (1, 5)
    assert (second.label, second.tokens, second.sentence_id) == ("0", ["Bad"], "8")


def test_trees(read):
    first, second = read("(3 (2 It) (4 (2 -LRB-) (3 works)))\n\n(0 (0 (1 no) (2 )))\n".replace("(2 )", "(2 -RRB-)"))
    assert first == SentimentSentence("3", tokens=["It", "(", "works"], is_tree=True)
    assert second == SentimentSentence("0", tokens=["no", ")"], is_tree=True)
    assert (first.line, second.line) == (1, 3)


def test_a_deep_tree(read):
    depth = 400
    (sentence,) = read("(2 (2 w) " * depth + "(4 end)" + ")" * depth)
    assert sentence.tokens == ["w"] * depth + ["end"] and sentence.label == "2"


def test_tab_separated(read):
    assert read("\r\npositive\t It 's (very) good . \r\n0\t# 1\n") == [
        SentimentSentence("positive", text="It 's (very) good ."),
        SentimentSentence("0", text="# 1"),
    ]


GLUE = "It works today .\t1\nIt fails today .\t0\nIt sings today .\t1\n"


@pytest.mark.parametrize(
    "content, labels, first",
    [
        (GLUE, "101", "It works today ."),
        ("sentence\tlabel\n" + GLUE, "101", "It works today ."),
        ("Label\tSentence\n0\tbad\n1\tgood\n", "01", "bad"),
        ("(great) fun\t1\ndull\t0\nfine\t1\n", "101", "(great) fun"),
        ("# 1\t1\nnot at all\t0\n", "10", "# 1"),
        ("good\t1\nbad\t0\n", "10", "good"),
        # As few labels as sentences, which are longer.
        ("0\tIt fails\n1\tIt works\n2\tIt sings\n", "012", "It fails"),
        # Labels as long as sentences, but fewer.
        (
            "very good\tIt works\nvery bad\tIt fails\nvery good\tIt sings\n",
            ["very good", "very bad", "very good"],
            "It works",
        ),
    ],
)
def test_the_column_of_the_labels_is_found(read, content, labels, first):
    sentences = read(content)
    assert [sentence.label for sentence in sentences] == list(labels)
    assert sentences[0].text == first
    assert sentences[0].line == (2 if "abel" in content else 1)


def test_an_order_that_nothing_tells_is_refused(read):
    for content, found in (
        ("good\tfilm\nbad\tplay\n", "sides that look alike"),
        ("very good\tWorks\nvery good\tFails\n", "fewer values on one side and shorter ones on the other"),
    ):
        with pytest.raises(FormatError, match=r"file.txt: expected a label, .*, or a sentence, .*" + found):
            read(content)
        read("label\tsentence\n" + content)


def test_byte_order_marks_inside_of_joined_files_are_left_out(read):
    mark = "\ufeff"
    assert {sentence.label for sentence in read(f"{mark}1\tIt works\n{mark}0\tIt fails\n")} == {"0", "1"}
    assert [sentence.tokens for sentence in read(f"{mark}(3 (2 It) (3 works))\n{mark}(1 Bad)\n")] == [
        ["It", "works"],
        ["Bad"],
    ]
    assert len(read(mark + ROWS + "\n" + mark + ROWS.replace("instance ", "instance 1"))) == 4
    # Without a line end between the two.
    with pytest.raises(FormatError, match="line 2: expected a label, a premise and a hypothesis"):
        read(f"1\tIt works{mark}0\tIt fails\n0\tIt breaks\n")


@pytest.mark.parametrize(
    "content, message",
    [
        (
            GLUE + "1\tIt shines .\n",
            r"line 4: expected a sentence, a tab and a label, as on other lines, found a label",
        ),
        ("", r"file.txt, line 1: expected at least one sentence, found an empty file"),
        ("\n \n", r"line 1: expected at least one sentence"),
        ("\nhello\n", r"line 2: expected '# instance' and rows of tokens.*found 'hello'"),
        (b"1\tgood\n1\t\xff\n", r"file.txt, line 2: expected UTF-8, found the byte 0xff"),
        (b"\xff", r"line 1: expected UTF-8"),
        # Rows of tokens
        ("# instance 7\n1\tGood\tgood\tJJ\n", r"line 2, sentence '7': expected 5 columns, id form .* found 4"),
        (ROWS.replace("2\tfun", "3\tfun"), r"line 3, sentence '7': expected the id 2, found '3'"),
        (ROWS.replace("NN\t1", "NN\t0"), r"line 3, sentence '7': expected the label '1' of .* found '0'"),
        (ROWS.replace("Bad", ""), r"line 6, sentence '8': expected a value in column 2"),
        (ROWS.replace("instance 8", "instance 7"), r"line 5, sentence '7': expected a new sentence id"),
        # Trees
        ("(3 (2 It) (3 works))\n(3 (2 It\n", r"line 2: expected one bracketed tree"),
        ("(3 It) (2 works)\n", r"line 1: expected one bracketed tree"),
        ("(5 (2 It) (2 works))\n", r"line 1: expected a label from 0 to 4 .* found '5'"),
        ("(3 (2 It) (3))\n", r"line 1: expected words or brackets after every label"),
        ("(3 (2 It) (3 works))\n1\tgood\n", r"line 2: expected one bracketed tree"),
        # Tab-separated
        ("1\tgood\n\n1\n", r"line 3: expected a label, a tab and a sentence"),
        ("1\tgood\t2\t3\n", r"line 1: expected a label, a tab and a sentence"),
        ("1\tgood\n\tbad\n", r"line 2: expected a label, a tab and a sentence"),
        ("good\t1\nbad\t0\nsentence\tlabel\n", r"line 3: .*found the names of columns"),
        ("1\tgood\n1\t \n", r"line 2: expected a label, a tab and a sentence"),
    ],
)
def test_errors_name_file_and_line(read, content, message):
    with pytest.raises(FormatError, match=message):
        read(content)


def test_sentences_before_an_error_are_read(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("1\tgood\nbad\n")
    sentences = read_sentiment(path)
    assert next(sentences).text == "good"
    with pytest.raises(FormatError, match=rf"{path}, line 2"):
        next(sentences)


@pytest.mark.parametrize("part, count", [("train", 60), ("dev", 30)])
def test_the_fixtures(part, count):
    sentences = list(read_sentiment(FIXTURES_ROOT / "sentiment" / f"{part}.txt"))
    assert len(sentences) == count
    assert [sentence.label for sentence in sentences] == ["1", "0"] * (count // 2)
