from xml.etree import ElementTree

import pytest

from spigot_allennlp.drawing import draw_graph, draw_tree, stack

SVG = "{http://www.w3.org/2000/svg}"
TOKENS = ["Anna", "wants", "to", "sing", "."]
ARCS = [(2, 1, "ARG0"), (4, 1, "ARG0"), (2, 4, "ARG1")]


def find(picture, name):
    return [element for element in ElementTree.fromstring(picture).iter() if element.get("class") == name]


def texts(picture, name):
    return [element.text or "" for element in find(picture, name)]


def arrows(picture):
    """The label, colour and dash pattern of each arc, and whether its head is on the left."""
    found = []
    for arrow in find(picture, "displacy-arrow"):
        line, (label,), head = arrow
        assert line.get("stroke") == head.get("fill") == label.get("fill") == "currentColor"
        start, tip = (float(path.get("d").removeprefix("M").split(",")[0]) for path in (line, head))
        found.append((label.text or "", arrow.get("color"), line.get("stroke-dasharray"), start == tip))
    return found


class TestTree:
    def test_arcs_and_root(self):
        picture = draw_tree(TOKENS, [2, 0, 4, 2, 2], ["nsubj", "root", "mark", "xcomp", "punct"])
        assert texts(picture, "displacy-word") == TOKENS
        assert texts(picture, "displacy-tag") == ["", "root", "", "", ""]
        assert [(label, left) for label, _, _, left in arrows(picture)] == [
            ("nsubj", True),
            ("mark", True),
            ("xcomp", False),
            ("punct", False),
        ]
        assert find(picture, "legend") == []

    def test_against_gold(self):
        picture = draw_tree(TOKENS, [2, 0, 4, 2, 2], ["a", "b", "c", "d", "e"], gold_heads=[2, 4, 4, 0, 2])
        assert [label for label, *_ in arrows(picture)] == ["a", "c", "+d", "e", "\N{MINUS SIGN}"]
        assert texts(picture, "displacy-tag") == ["", "+root", "", "\N{MINUS SIGN}root", ""]

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
        assert texts(picture, "displacy-word") == tokens and arrows(picture) == []


class TestGraph:
    def test_a_token_may_have_several_heads_and_a_graph_several_tops(self):
        picture = draw_graph(TOKENS, ARCS, tops=[2, 4])
        assert [label for label, *_ in arrows(picture)] == ["ARG0", "ARG0", "ARG1"]
        assert texts(picture, "displacy-tag") == ["", "top", "", "top", ""]
        assert {(color, dashes) for _, color, dashes, _ in arrows(picture)} == {("currentColor", "none")}

    def test_differences_are_told_apart_by_colour_by_dashes_and_by_a_sign(self):
        picture = draw_graph(TOKENS, ARCS, tops=[2], gold=[ARCS[0], (4, 1, "ARG1"), ARCS[2]], gold_tops=[4])
        drawn = {label: (color, dashes) for label, color, dashes, _ in arrows(picture)}
        assert drawn.keys() == {"ARG0", "+ARG0", "ARG1", "\N{MINUS SIGN}ARG1"}
        kinds = [drawn[label] for label in ("ARG0", "+ARG0", "\N{MINUS SIGN}ARG1")]
        for styles in zip(*kinds, strict=True):
            assert len(set(styles)) == 3
        assert drawn["ARG1"] == drawn["ARG0"]
        legend = find(picture, "legend")
        assert [(entry.get("color"), entry[0].get("stroke-dasharray")) for entry in legend] == kinds
        assert [entry[1].text for entry in legend] == [
            "predicted and gold",
            "+ only predicted",
            "\N{MINUS SIGN} only gold",
        ]
        tags = find(picture, "displacy-tag")
        assert [tag.text or "" for tag in tags] == ["", "+top", "", "\N{MINUS SIGN}top", ""]
        assert [tags[1].get("fill"), tags[3].get("fill")] == [kinds[1][0], kinds[2][0]]

    def test_gold_without_arcs_is_gold_all_the_same(self):
        assert [label for label, *_ in arrows(draw_graph(TOKENS, ARCS[:1], gold=[]))] == ["+ARG0"]

    def test_arcs_may_be_lists_as_in_json(self):
        assert arrows(draw_graph(TOKENS, map(list, ARCS), gold=map(list, ARCS))) == arrows(draw_graph(TOKENS, ARCS))

    def test_opposite_arcs_with_one_label(self):
        assert [left for *_, left in arrows(draw_graph(["a", "b"], [(1, 2, "x"), (2, 1, "x")]))] == [False, True]

    def test_positions_out_of_the_sentence_are_refused(self):
        with pytest.raises(ValueError, match="from 1 to 5, found 6"):
            draw_graph(TOKENS, ARCS, tops=[6])


@pytest.mark.parametrize("text", ['</text><script>alert("&")</script>', "{content}", "&lt;", "\u4f60\u597d", "it's"])
def test_text_of_users_stays_text(text):
    picture = draw_graph([text, "b"], [(2, 1, text)])
    assert texts(picture, "displacy-word") == [text, "b"] and texts(picture, "displacy-label") == [text]
    tree = draw_tree([text, "b"], [2, 0], [text, text])
    assert texts(tree, "displacy-word") == [text, "b"] and texts(tree, "displacy-label") == [text]


def test_what_xml_cannot_hold_is_replaced():
    assert texts(draw_tree(["\x00", "\ud800"], [0, 1], ["", "\x0b"]), "displacy-word") == ["\ufffd", "\ufffd"]


def test_no_colour_but_those_of_differences_is_fixed():
    picture = ElementTree.fromstring(draw_graph(TOKENS, ARCS, tops=[2]))
    for element in picture.iter():
        assert {element.get(key) for key in ("fill", "stroke", "color")} <= {None, "none", "currentColor"}
        assert "background" not in element.attrib


def test_there_are_no_styles_that_a_pages_policy_could_forbid():
    picture = ElementTree.fromstring(draw_graph(TOKENS, ARCS, tops=[2], gold=[], gold_tops=[]))
    assert all("style" not in element.attrib for element in picture.iter())
    assert {element.get("font-size") for element in picture.iter()} >= {"0.8em"}
    assert picture.get("font-family") == "sans-serif"


def test_pictures_have_a_title_and_a_size():
    picture = ElementTree.fromstring(draw_graph(TOKENS, ARCS))
    assert picture[0].tag == f"{SVG}title" and picture[0].text == "Anna wants to sing ."
    assert picture.get("viewBox") == f"0 0 {picture.get('width')} {picture.get('height')}"


def test_long_words_have_room():
    widths = [float(ElementTree.fromstring(draw_tree([word, word], [0, 1])).get("width")) for word in ("a", "a" * 20)]
    assert widths[1] > widths[0] + 100


def test_stacked_pictures_do_not_overlap():
    pictures = [draw_tree(["a", "b"], [0, 1]), draw_graph(TOKENS, ARCS, gold=ARCS)]
    outer = ElementTree.fromstring(stack(pictures))
    first, second = outer
    assert outer.tag == f"{SVG}svg" and len(find(stack(pictures), "displacy")) == 2
    assert float(second.get("y")) == float(first.get("height"))
    assert float(outer.get("height")) == float(first.get("height")) + float(second.get("height"))
    assert float(outer.get("width")) == max(float(part.get("width")) for part in outer)
