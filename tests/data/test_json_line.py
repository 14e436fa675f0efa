import pytest

from spigot_allennlp.data.json_line import shortened_json


@pytest.mark.parametrize(
    "value, expected",
    [
        (None, "null"),
        ({"a": [True, "Ä"]}, '{"a": [true, "Ä"]}'),
        ("\ud800", '"\\ud800"'),
        ({1}, "{1}"),
        ("a" * 1000, f'"{"a" * 39} … {"a" * 16}"'),
    ],
)
def test_a_value_in_a_message_is_json_and_short(value, expected):
    assert shortened_json(value) == expected
