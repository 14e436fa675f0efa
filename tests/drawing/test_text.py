import pytest

from spigot_allennlp.drawing.text import clean, is_right_to_left, text_width


def test_wide_letters_are_wider_than_narrow_ones_and_marks_have_no_width():
    assert text_width("ill", 16) < text_width("abc", 16) < text_width("ABC", 16) < text_width("\u6b4c\u6b4c\u6b4c", 16)
    assert text_width("e\u0301", 16) == text_width("e", 16)
    assert text_width("", 16) == 0


@pytest.mark.parametrize(
    "words, expected",
    [
        (["Anna", "sings", "."], False),
        (["\u0643\u062a\u0628", "\u0627\u0644\u0648\u0644\u062f", "."], True),
        (["\u05e9\u05dc\u05d5\u05dd", "PyTorch"], False),  # more letters of the other kind
        (["1", "+", "2"], False),
        ([], False),
    ],
)
def test_the_direction_is_that_of_most_letters(words, expected):
    assert is_right_to_left(words) == expected


def test_what_xml_cannot_hold_is_replaced():
    assert clean("a\x00\ud800b") == "a\ufffd\ufffdb"
