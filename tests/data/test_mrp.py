import pytest

from spigot_allennlp.data.mrp import OURS, from_mrp, to_mrp

CONTENT = {
    "tokens": ["Mia", "ca", "n't", "swim", "."],
    "tags": ["NNP", "MD", "RB", "VB", "."],
    "lemmas": ["Mia", "can", "not", "_", "_"],
    "frames": ["_", "can.01", "_", "_", "_"],
    "arcs": [[2, 4, "ARG1"], [4, 1, "ARG0"]],
    "tops": [2],
    "comments": ["# text = Mia can't  swim."],
}


def test_a_line():
    line = to_mrp(CONTENT, 7, "psd")
    assert (line["id"], line["flavor"], line["framework"], line["tops"]) == ("7", 0, "psd", [1])
    assert line["input"] == "Mia can't  swim."
    assert line["nodes"] == [
        {"id": 0, "label": "Mia", "properties": ["pos"], "values": ["NNP"], "anchors": [{"from": 0, "to": 3}]},
        {
            "id": 1,
            "label": "can",
            "properties": ["pos", "frame"],
            "values": ["MD", "can.01"],
            "anchors": [{"from": 4, "to": 6}],
        },
        {"id": 3, "label": "swim", "properties": ["pos"], "values": ["VB"], "anchors": [{"from": 11, "to": 15}]},
    ]
    assert line["edges"] == [
        {"source": 1, "target": 3, "label": "ARG1"},
        {"source": 3, "target": 0, "label": "ARG0"},
    ]


def test_a_text_of_other_tokens_is_not_taken():
    assert to_mrp({**CONTENT, "comments": ["# text = Mia cannot swim."]}, 7)["input"] == "Mia ca n't swim ."


def test_words_stand_where_their_multiword_token_does():
    range_row = ["2-3", "can't", *"_" * 8]
    line = to_mrp({**CONTENT, "extra_rows": [range_row]}, 1)
    assert line["input"] == "Mia can't  swim."
    assert [node["anchors"] for node in line["nodes"]] == [
        [{"from": 0, "to": 3}],
        [{"from": 4, "to": 9}],
        [{"from": 11, "to": 15}],
    ]


def test_what_others_write_is_read_by_its_anchors():
    line = to_mrp(CONTENT | {"comments": ["# text = Mia  ca n't swim ."]}, 7)
    del line[OURS]
    line["nodes"].reverse()
    content, dropped = from_mrp(line)
    assert not dropped
    assert content.pop("mrp").keys() == {"framework", "version", "time"}
    assert content == {
        "tokens": CONTENT["tokens"],
        "tags": ["NNP", "MD", "_", "VB", "_"],
        "lemmas": ["Mia", "can", "_", "swim", "_"],
        "frames": CONTENT["frames"],
        "arcs": CONTENT["arcs"],
        "tops": [2],
        "sentence_id": "7",
        "text": "Mia  ca n't swim .",
    }


def test_what_is_dropped_is_named():
    line = to_mrp(CONTENT, 7)
    del line[OURS]
    line["nodes"][0].update(properties=["SEM"], values=["x"])
    line["edges"][0]["attributes"] = ["effective"]
    assert from_mrp(line)[1] == {"properties of nodes", "attributes of edges"}


def test_what_the_line_says_of_itself_is_written_again():
    line = to_mrp(CONTENT, 7) | {"time": "2020-01-01", "source": "wsj", "framework": "pas"}
    again = to_mrp(from_mrp(line)[0], 7)
    assert {key: again[key] for key in ("time", "source", "framework")} == {
        "time": "2020-01-01",
        "source": "wsj",
        "framework": "pas",
    }


@pytest.mark.parametrize(
    "change, message",
    [
        ({"flavor": 1}, "of flavor 0, found flavor 1"),
        ({"edges": [{"source": 9, "target": 0, "label": "x"}]}, "edges between them, found KeyError"),
        ({"tops": [9]}, "edges between them, found KeyError"),
        ({"nodes": [{"id": 0}]}, "found KeyError"),
        (
            {"nodes": [{"id": 0, "anchors": [{"from": 0, "to": 5}]}, {"id": 1, "anchors": [{"from": 4, "to": 6}]}]},
            "overlap",
        ),
        ({"nodes": [{"id": 0, "anchors": [{"from": 9, "to": 11}]}]}, "on none"),
        ({"input": None}, "found TypeError"),
    ],
)
def test_other_graphs_are_refused(change, message):
    line = to_mrp(CONTENT, 7) | change
    del line[OURS]
    with pytest.raises(ValueError, match=message):
        from_mrp(line)
