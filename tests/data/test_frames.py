import pytest

from spigot_allennlp.data.frames import to_frame, to_label


@pytest.mark.parametrize(
    "frame, lemma",
    [("want.01", "want"), ("google.01", "Google"), ("serve.02", "service"), ("v:e-i-p", "v"), ("a.", "a"), ("_", "_")],
)
def test_a_label_and_the_lemma_are_the_frame(frame, lemma):
    assert to_frame(to_label(frame, lemma), lemma) == frame


def test_numbers_are_labels_of_all_lemmas():
    assert to_label("want.01", "want") == to_label("sing.01", "sing") == to_label("google.01", "Google")
    assert to_frame(to_label("want.01", "want"), "swim") == "swim.01"


def test_what_does_not_begin_with_the_lemma_and_a_dot_is_its_own_label():
    assert to_label("serve.02", "service") == to_label("serve.02", "server") == "serve.02"
    assert to_label("v:e-i-p", "v") == "v:e-i-p"
    assert to_frame("v:e-i-p", "swim") == "v:e-i-p"
