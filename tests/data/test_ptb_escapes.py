import pytest

from spigot_allennlp.data.ptb_escapes import unescape, unescape_text


@pytest.mark.parametrize(
    "escaped, token",
    [
        ("-LRB-", "("),
        ("-rrb-", ")"),
        ("-LSB-", "["),
        ("-RSB-", "]"),
        ("-LCB-", "{"),
        ("-RCB-", "}"),
        (r"and\/or", "and/or"),
        (r"\*", "*"),
        (r"1\/2\/3", "1/2/3"),
        (r"\n", r"\n"),
        ("-LRB", "-LRB"),
        ("(", "("),
        ("well-known", "well-known"),
    ],
)
def test_tokens(escaped, token):
    assert unescape(escaped) == token == unescape(token)


def test_a_text_keeps_its_spaces():
    assert unescape_text("  -LRB- great -RRB-\tand\\/or bad\n") == "  ( great )\tand/or bad\n"
    assert unescape_text("x-LRB-y") == "x-LRB-y"
