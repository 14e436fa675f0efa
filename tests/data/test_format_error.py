import pickle
from pathlib import Path

import pytest

from spigot_allennlp.data.format_error import FormatError


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
