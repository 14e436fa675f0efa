import pytest

from spigot_allennlp.drawing.errors import KINDS, Tally, find_errors

TOKENS = ["Anna", "wants", "to", "sing"]
GOLD = {
    "tokens": TOKENS,
    "heads": [2, 0, 4, 2],
    "head_tags": ["nsubj", "root", "mark", "xcomp"],
    "arcs": [[2, 1, "ARG0"], [2, 4, "ARG1"]],
    "tops": [2],
}


def test_what_is_right_has_no_errors():
    assert find_errors(GOLD, GOLD) == []


@pytest.mark.parametrize(
    "change, kind, text",
    [
        ({"heads": [2, 0, 2, 2]}, "wrong head", "to: wants, gold sing"),
        ({"head_tags": ["obj", "root", "mark", "xcomp"]}, "wrong label of a head", "Anna: obj of wants, gold nsubj"),
        ({"arcs": [[2, 1, "ARG0"]]}, "missing arc", "ARG1 sing of wants"),
        ({"arcs": [*GOLD["arcs"], [4, 1, "ARG0"]]}, "spurious arc", "ARG0 Anna of sing"),
        ({"arcs": [[2, 1, "ARG2"], [2, 4, "ARG1"]]}, "wrong label of an arc", "ARG2 Anna of wants, gold ARG0"),
        ({"tops": []}, "wrong top", "wants, gold"),
        ({"tops": [2, 4]}, "wrong top", "sing, not gold"),
    ],
)
def test_each_kind(change, kind, text):
    assert kind in KINDS
    assert find_errors({**GOLD, **change}, GOLD) == [(kind, text)]


def test_a_wrong_head_is_one_error_whatever_its_label():
    output = {**GOLD, "heads": [4, 0, 4, 2], "head_tags": ["obj", "root", "mark", "xcomp"]}
    assert [error.kind for error in find_errors(output, GOLD)] == ["wrong head"]


def test_what_one_of_them_lacks_is_not_compared():
    tree = {key: GOLD[key] for key in ("tokens", "heads")}
    assert find_errors(tree, {**GOLD, "head_tags": ["x"] * 4, "arcs": []}) == []
    assert find_errors({**GOLD, "arcs": []}, tree) == []
    tally = Tally()
    tally.add(tree, GOLD)
    assert tally.figures() == {"UAS": 1.0}


def test_figures_of_several_sentences():
    tally = Tally()
    assert tally.figures() == {}
    tally.add(GOLD, GOLD)
    output = {"tokens": ["a", "b"], "heads": [0, 1], "head_tags": ["root", "x"], "arcs": [[1, 2, "A"]], "tops": []}
    gold = {"tokens": ["a", "b"], "heads": [0, 1], "head_tags": ["root", "y"], "arcs": [[1, 2, "B"]], "tops": [1]}
    tally.add(output, gold)
    assert tally.figures() == {"UAS": 1.0, "LAS": 5 / 6, "labelled F1": 2 * 3 / 9, "unlabelled F1": 2 * 4 / 9}
