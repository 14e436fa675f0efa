import pickle
from pathlib import Path

import pytest

from spigot_allennlp.data.format_error import FormatError, first_of


@pytest.mark.parametrize(
    "place, message",
    [
        ({}, "expected a"),
        ({"name": Path("x.sdp"), "line": 3, "sentence_id": "s 1"}, "x.sdp, line 3, sentence 's 1': expected a"),
        ({"name": "x.sdp", "line": 3}, "x.sdp, line 3: expected a"),
    ],
)
def test_message_names_what_is_known(place, message):
    error = FormatError("expected a", **place)
    assert str(error) == message
    # As it is sent from one process to another.
    assert str(pickle.loads(pickle.dumps(error))) == message


def test_of_many_values_the_first_are_shown():
    assert first_of({"a": 0, "b": 1}) == "'a', 'b'"
    assert first_of([str(i) for i in range(18)]) == "'0', '1', '2', '3', '4' and 13 more"
    assert len(first_of(["long " * 100] * 1000)) < 200
