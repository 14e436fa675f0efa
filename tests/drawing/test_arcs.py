from xml.etree import ElementTree

import pytest

from spigot_allennlp.drawing import Side, draw, draw_graph, draw_tree, stack, tree_side

SVG = "{http://www.w3.org/2000/svg}"
TOKENS = ["Anna", "wants", "to", "sing", "."]
ARCS = [(2, 1, "ARG0"), (4, 1, "ARG0"), (2, 4, "ARG1")]
ARABIC = ["\u0643\u062a\u0628", "\u0627\u0644\u0648\u0644\u062f", "\u0631\u0633\u0627\u0644\u0629"]


def find(picture, name):
    return [element for element in ElementTree.fromstring(picture).iter() if name in element.get("class", "").split()]


def texts(picture, name):
    return [element.text or "" for element in find(picture, name)]


def marks(picture):
    """What is written below each word."""
    return [" ".join(mark.text for mark in word if mark.get("class") == "mark") for word in find(picture, "word")]


def arrows(picture):
    """The label, the kind, the dash pattern and the two words of each arc."""
    found = []
    for arc in find(picture, "arc"):
        parts = {part.get("class"): part for part in arc}
        line, tip = parts["line"], parts["tip"]
        assert line.get("stroke") == tip.get("fill")
        label = parts["label"].text if "label" in parts else ""
        kind = arc.get("class").split()[1]
        ends = int(arc.get("data-source")), int(arc.get("data-target"))
        found.append((label, kind, line.get("stroke-dasharray"), ends))
    return found


class TestTree:
    def test_arcs_and_root(self):
        picture = draw_tree(TOKENS, [2, 0, 4, 2, 2], ["nsubj", "root", "mark", "xcomp", "punct"])
        assert texts(picture, "form") == TOKENS
        assert marks(picture) == ["", "root", "", "", ""]
        assert [(label, ends) for label, _, _, ends in arrows(picture)] == [
            ("nsubj", (2, 1)),
            ("mark", (4, 3)),
            ("xcomp", (2, 4)),
            ("punct", (2, 5)),
        ]
        assert find(picture, "legend") == []

    def test_against_gold(self):
        picture = draw_tree(TOKENS, [2, 0, 4, 2, 2], ["a", "b", "c", "d", "e"], gold_heads=[2, 4, 4, 0, 2])
        assert [label for label, *_ in arrows(picture)] == ["a", "c", "+d", "e", "\N{MINUS SIGN}"]
        assert marks(picture) == ["", "+root", "", "\N{MINUS SIGN}root", ""]

    def test_labels_are_compared_where_gold_has_some(self):
        picture = draw_tree(["a", "b"], [2, 0], ["x", "root"], gold_heads=[2, 0], gold_tags=["y", "root"])
        assert [label for label, *_ in arrows(picture)] == ["+x", "\N{MINUS SIGN}y"]

    @pytest.mark.parametrize(
        "heads, gold, message",
        [
            ([0], None, "of one length"),
            ([0, 1], [0], "of one length"),
            ([0, 3], None, "from 1 to 2, found 3"),
            ([0, 1], [-1, 0], "from 1 to 2, found -1"),
            ([0, 2], None, "from 2 to itself"),
        ],
    )
    def test_what_is_no_tree_is_refused(self, heads, gold, message):
        with pytest.raises(ValueError, match=message):
            draw_tree(["a", "b"], heads, gold_heads=gold)

    @pytest.mark.parametrize("tokens, heads", [([], []), (["Stop"], [0])])
    def test_small_sentences(self, tokens, heads):
        picture = draw_tree(tokens, heads)
        assert texts(picture, "form") == tokens and arrows(picture) == []


class TestGraph:
    def test_a_token_may_have_several_heads_and_a_graph_several_tops(self):
        picture = draw_graph(TOKENS, ARCS, tops=[2, 4])
        assert [label for label, *_ in arrows(picture)] == ["ARG0", "ARG0", "ARG1"]
        assert marks(picture) == ["", "top", "", "top", ""]
        assert {(kind, dashes) for _, kind, dashes, _ in arrows(picture)} == {("both", "none")}

    def test_relations_have_colours_which_are_the_same_in_all_pictures(self):
        colors = [line.get("stroke") for line in find(draw_graph(TOKENS, ARCS), "line")]
        assert colors[0] == colors[1] != colors[2]
        assert find(draw_graph(["a", "b"], [(1, 2, "ARG0")]), "line")[0].get("stroke") == colors[0]

    def test_differences_are_told_apart_by_colour_by_dashes_and_by_a_sign(self):
        picture = draw_graph(TOKENS, ARCS, tops=[2], gold=[ARCS[0], (4, 1, "ARG1"), ARCS[2]], gold_tops=[4])
        drawn = {label: (kind, dashes) for label, kind, dashes, _ in arrows(picture)}
        assert drawn.keys() == {"ARG0", "+ARG0", "ARG1", "\N{MINUS SIGN}ARG1"}
        colors = [line.get("stroke") for line in find(picture, "line")]
        assert colors[0] == colors[2] == "currentColor" and len(set(colors)) == 3
        kinds = [drawn[label] for label in ("ARG0", "+ARG0", "\N{MINUS SIGN}ARG1")]
        for styles in zip(*kinds, strict=True):
            assert len(set(styles)) == 3
        assert drawn["ARG1"] == drawn["ARG0"]
        legend = find(picture, "legend")
        assert [entry[0].get("stroke-dasharray") for entry in legend] == [dashes for _, dashes in kinds]
        assert [entry[1].text for entry in legend] == [
            "predicted and gold",
            "+ only predicted",
            "\N{MINUS SIGN} only gold",
        ]
        assert marks(picture) == ["", "+top", "", "\N{MINUS SIGN}top", ""]

    def test_gold_without_arcs_is_gold_all_the_same(self):
        assert [label for label, *_ in arrows(draw_graph(TOKENS, ARCS[:1], gold=[]))] == ["+ARG0"]

    def test_arcs_may_be_lists_as_in_json(self):
        lists = [list(arc) for arc in ARCS]
        assert [label for label, *_ in arrows(draw_graph(TOKENS, lists, gold=lists))] == ["ARG0", "ARG0", "ARG1"]

    def test_opposite_arcs_with_one_label(self):
        drawn = find(draw_graph(["a", "b"], [(1, 2, "x"), (2, 1, "x")]), "line")
        assert drawn[0].get("d") != drawn[1].get("d")

    def test_positions_out_of_the_sentence_are_refused(self):
        with pytest.raises(ValueError, match="from 1 to 5, found 6"):
            draw_graph(TOKENS, ARCS, tops=[6])


class TestBoth:
    TREE = tree_side([2, 0, 4, 2, 2], weights=[0.9, 1.0, 0.1, 0.5, 0.25])
    GRAPH = Side(ARCS, [2])

    def test_a_tree_above_and_a_graph_below_the_same_words(self):
        picture = draw(TOKENS, self.TREE, self.GRAPH)
        assert texts(picture, "form") == TOKENS
        assert [arc.get("data-side") for arc in find(picture, "arc")] == ["above"] * 4 + ["below"] * 3
        assert marks(picture) == ["", "root top", "", "", ""]
        (word,) = {float(text.get("y")) for text in find(picture, "form")}
        sides = {"above": [], "below": []}
        for arc in find(picture, "arc"):
            tip = next(part for part in arc if part.get("class") == "tip")
            sides[arc.get("data-side")].append(float(tip.get("d")[1:].split()[0].split(",")[1]))
        assert max(sides["above"]) < word < min(sides["below"])

    def test_weights_are_pale_lines_and_numbers(self):
        picture = draw(TOKENS, self.TREE)
        arcs = find(picture, "arc")
        assert [arc.get("data-weight") for arc in arcs] == ["0.9", "0.1", "0.5", "0.25"]
        opacities = [float(line.get("stroke-opacity")) for line in find(picture, "line")]
        assert sorted(opacities) == [opacities[i] for i in (1, 3, 2, 0)] and opacities[1] < 0.5 < opacities[0] < 1
        assert arcs[0][0].text == "wants \N{RIGHTWARDS ARROW} Anna, 0.9"

    def test_what_might_have_been_is_told_apart(self):
        picture = draw(TOKENS, Side([(2, 1, "x")], possible=[(4, 1, "x")], possible_weights=[0.2]))
        assert [(kind, ends) for _, kind, _, ends in arrows(picture)] == [("both", (2, 1)), ("possible", (4, 1))]

    def test_what_is_gold_alone_can_be_left_out(self):
        picture = draw(TOKENS, Side(ARCS[:1], gold_arcs=ARCS[1:], gold_marked=[1], hides_missed=True))
        assert [label for label, *_ in arrows(picture)] == ["+ARG0"] and marks(picture) == [""] * 5

    def test_tags_and_emphasis(self):
        picture = draw(TOKENS, tags=["A", "B", "C", "D", "E"], emphasis=[0, 0.5, 1, 0, 0])
        assert texts(picture, "tag") == ["A", "B", "C", "D", "E"]
        opacities = [float(box.get("fill-opacity")) for box in find(picture, "box")]
        assert 0 == opacities[0] < opacities[1] < opacities[2] < 1

    @pytest.mark.parametrize(
        "weights, message", [([0.5], "of one length"), ([0.1, 1.5, 0.1], "from 0 to 1, found 1.5")]
    )
    def test_wrong_weights_are_refused(self, weights, message):
        with pytest.raises(ValueError, match=message):
            Side(ARCS, weights=weights)

    def test_tags_of_another_length_are_refused(self):
        with pytest.raises(ValueError, match="of one length"):
            draw(TOKENS, tags=["A"])


def test_a_long_sentence_is_as_wide_as_it_may_be():
    tokens = ["word"] * 60
    heads = [0, *range(1, 60)]
    picture = ElementTree.fromstring(draw_tree(tokens, heads, max_width=700))
    assert float(picture.get("width")) <= 700 < float(ElementTree.fromstring(draw_tree(tokens, heads)).get("width"))


def test_right_to_left():
    picture = draw_tree(ARABIC, [0, 1, 1])
    places = [float(text.get("x")) for text in find(picture, "form")]
    assert places == sorted(places, reverse=True) and min(places) > 0
    assert ElementTree.fromstring(picture).get("direction") == "rtl"
    mirrored = draw_tree(["a"] * 3, [0, 1, 1])
    assert ElementTree.fromstring(mirrored).get("direction") is None


@pytest.mark.parametrize("text", ['</text><script>alert("&")</script>', "{content}", "&lt;", "\u4f60\u597d", "it's"])
def test_text_of_users_stays_text(text):
    picture = draw_graph([text, "b"], [(2, 1, text)])
    assert texts(picture, "form") == [text, "b"] and texts(picture, "label") == [text]
    tree = draw_tree([text, "b"], [2, 0], [text, text])
    assert texts(tree, "form") == [text, "b"] and texts(tree, "label") == [text]


def test_what_xml_cannot_hold_is_replaced():
    assert texts(draw_tree(["\x00", "\ud800"], [0, 1], ["", "\x0b"]), "form") == ["\ufffd", "\ufffd"]
    arcs = [(1, 2, "\x01\ud800")]
    side = Side(arcs, marked=[1], mark="\x02", gold_arcs=arcs, gold_marked=[1])
    picture = draw(["\x00", "b"], side, tags=["\x03", "X"], meanings=("\x04", "\x05", "\x06"))
    assert texts(picture, "label") == ["\ufffd\ufffd"] and texts(picture, "tag") == ["\ufffd", "X"]
    assert marks(picture) == ["\ufffd", ""]
    assert [entry[1].text for entry in find(picture, "legend")] == ["\ufffd", "+ \ufffd", "\N{MINUS SIGN} \ufffd"]


def test_words_and_labels_have_the_colour_of_the_text():
    picture = ElementTree.fromstring(draw_graph(TOKENS, ARCS, tops=[2]))
    for element in picture.iter(f"{SVG}text"):
        assert element.get("fill") == "currentColor"
    assert all("background" not in element.attrib for element in picture.iter())


def test_there_are_no_styles_that_a_pages_policy_could_forbid():
    picture = ElementTree.fromstring(draw_graph(TOKENS, ARCS, tops=[2], gold=[], gold_tops=[]))
    assert all("style" not in element.attrib for element in picture.iter())
    assert picture.get("font-family") == "sans-serif"


def test_pictures_have_a_title_and_a_size():
    picture = ElementTree.fromstring(draw_graph(TOKENS, ARCS))
    assert picture[0].tag == f"{SVG}title" and picture[0].text == "Anna wants to sing ."
    assert picture.get("viewBox") == f"0 0 {picture.get('width')} {picture.get('height')}"


def test_stacked_pictures_do_not_overlap():
    pictures = [draw_tree(["a", "b"], [0, 1]), draw_graph(TOKENS, ARCS, gold=ARCS)]
    outer = ElementTree.fromstring(stack(pictures))
    first, second = outer
    assert outer.tag == f"{SVG}svg"
    assert float(second.get("y")) == float(first.get("height"))
    assert float(outer.get("height")) == float(first.get("height")) + float(second.get("height"))
    assert float(outer.get("width")) == max(float(part.get("width")) for part in outer)
