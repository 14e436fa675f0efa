import io
import json
from itertools import product

import pytest

from spigot_allennlp.data.conversion import FORMATS, Conversion
from spigot_allennlp.data.format_error import FormatError
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


def convert(data, input_format, output_format, **settings):
    conversion = Conversion(input_format, output_format, **settings)
    return "".join(conversion.convert(io.BytesIO(data), "in")).encode(), conversion.summary()


def contents(data):
    """What JSON says, but for the order of keys, what is empty, and what MRP says of a line."""
    lines = map(json.loads, data.splitlines())
    return [{key: value for key, value in line.items() if value and key != "mrp"} for line in lines]


@pytest.mark.parametrize("source", ["toy.conllu", "toy.sdp", "toy_augmented.sdp"])
@pytest.mark.parametrize("one, other", list(product(FORMATS, FORMATS)))
def test_there_and_back(source, one, other):
    path = FIXTURES_ROOT / "toy" / source
    data, _ = convert(path.read_bytes(), path.suffix[1:], one)
    there, summary = convert(data, one, other)
    back, _ = convert(there, other, one)
    if other == "sdp" and one != "sdp" and source == "toy.conllu":  # which has more than SDP holds
        assert "upos (10)" in summary and len(back.splitlines()) > 0
    elif one == "json":
        assert contents(back) == contents(data)
    elif one == "mrp":
        assert [line["edges"] for line in contents(back) if "edges" in line] == [
            line["edges"] for line in contents(data) if "edges" in line
        ]
    else:
        assert back == data


def test_what_is_dropped_is_counted():
    path = FIXTURES_ROOT / "toy" / "toy.conllu"
    _, summary = convert(path.read_bytes(), "conllu", "sdp", comments=False)
    assert summary == (
        "converted 10 sentences; dropped: comments (10), multiword tokens and empty nodes (2), upos (10)"
    )
    _, summary = convert(TOY.read_bytes(), "sdp", "conllu")
    assert summary == "converted 10 sentences; dropped: nothing"


def test_the_header_of_sdp_is_written_once():
    written, _ = convert(convert(TOY.read_bytes(), "sdp", "json")[0], "json", "sdp")
    assert written == TOY.read_bytes()


def test_predictions_of_several_sentences_are_taken_apart():
    sentence = {"tokens": ["Go"], "heads": [0], "sentence_id": None}
    lines = [{"sentences": [sentence, sentence]}, {"error": "bad", "line": 2}, sentence]
    data = "\ufeff" + "\n\n".join(map(json.dumps, lines))
    written, summary = convert(data.encode(), "json", "conllu")
    assert written.decode() == "1\tGo\t_\t_\t_\t_\t0\t_\t_\t_\n\n" * 3
    assert summary == "converted 3 sentences; dropped: lines that are an error (1)"


def test_further_keys_stay_in_json_and_are_dropped_elsewhere():
    data = json.dumps({"tokens": ["Go"], "probabilities": [1.0]}).encode()
    assert "probabilities" in convert(data, "json", "json")[0].decode()
    assert convert(data, "json", "conllu")[1] == "converted 1 sentences; dropped: probabilities (1)"


def test_sdp_2014():
    data = b"#1\n1\tGo\tgo\tVB\t+\t-\n\n"
    assert convert(data, "sdp2014", "sdp")[0] == b"#SDP 2015\n#1\n1\tGo\tgo\tVB\t+\t-\t_\n\n"


@pytest.mark.parametrize(
    "data, input_format, output_format, message",
    [
        (b'{"tokens": []}', "json", "sdp", "in, line 1: expected an object with a list of 'tokens', found none"),
        (b"\n[1]", "json", "sdp", "in, line 2: expected a JSON object, found list"),
        (b"{", "json", "sdp", "in, line 1: expected a JSON object: .* at column 2"),
        (b'{"tokens": ["\xe4"]}', "json", "sdp", "in, line 1: expected UTF-8, found the byte 0xe4"),
        (b'{"tokens": ["a"], "arcs": [[1, 2]]}', "json", "sdp", "line 1: expected 'arcs' as spigot-convert writes"),
        (b'{"tokens": ["a"], "arcs": [[1, 2, "x"]]}', "json", "sdp", "line 1: expected positions from 1 to 1, found 2"),
        (b'{"tokens": ["a"], "tags": ["b", "c"]}', "json", "sdp", "expected 1 'tags', one for each token, found 2"),
        (b'{"tokens": ["a"], "sentence_id": 3}', "json", "sdp", "expected 'sentence_id' to be a string, found 3"),
        (b'{"tokens": ["a", "b"], "arcs": [[1, 2, "x|y"]]}', "json", "conllu", "in, line 1: .*without | for the col"),
        (b'{"tokens": ["a\\tb"]}', "json", "sdp", "in, line 1: Expected a cell"),
        (b'{"flavor": 1}', "mrp", "sdp", "in, line 1: expected a bilexical graph"),
        (b"1\tGo", "conllu", "sdp", "in, line 1: expected 10 columns"),
    ],
)
def test_what_is_malformed_is_named(data, input_format, output_format, message):
    with pytest.raises(FormatError, match=message):
        convert(data, input_format, output_format)


def test_sentences_are_converted_one_by_one():
    def endless():
        while True:
            yield b"#1\n"
            yield b"1\tGo\tgo\tVB\t+\t-\t_\n"
            yield b"\n"

    texts = Conversion("sdp", "json").convert(endless(), "in")
    assert next(texts) == next(texts)
