import json
import traceback

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.common.params import evaluate_snippet
from allennlp.data.data_loaders.multiprocess_data_loader import WorkerError
from torch.multiprocessing import ProcessRaisedException

from spigot_allennlp.data.format_error import FormatError
from spigot_allennlp.framework.bad_input import explain, explained, naming


class TestExplained:
    def test_the_error_stays_what_it_is(self):
        error = OSError("a")
        with pytest.raises(OSError) as caught, explained(OSError, by=lambda error: f"b\n {error}"):
            raise error
        assert caught.value is error and str(error) == "a" and explain(error) == "b a"

    @pytest.mark.parametrize("kind", [StopIteration, KeyboardInterrupt, GeneratorExit])
    def test_those_that_generators_and_context_managers_treat_otherwise(self, kind):
        with pytest.raises(kind) as caught, explained(kind):
            raise kind("a")
        assert explain(caught.value) == "a"

    def test_others_are_left_alone(self):
        with pytest.raises(KeyError) as caught, explained(OSError, ValueError):
            raise KeyError("a")
        assert explain(caught.value) is None

    def test_what_it_turns_out_not_to_be(self):
        with pytest.raises(ValueError) as caught, explained(ValueError, by=lambda error: None):
            raise ValueError("a bug")
        assert explain(caught.value) is None

    @pytest.mark.parametrize("error", [FormatError("bad"), ConfigurationError("bad")])
    def test_what_explains_itself_is_left_alone(self, error):
        with pytest.raises(type(error)), explained(Exception, by=lambda error: "worse"):
            raise error
        assert explain(error) == "bad"

    def test_the_inner_one_counts(self):
        with pytest.raises(OSError) as caught, explained(OSError, by=lambda error: "outer"):
            with explained(OSError, by=lambda error: "inner"):
                raise OSError
        assert explain(caught.value) == "inner"

    def test_around_a_function(self):
        with pytest.raises(ValueError) as caught:
            explained(ValueError)(int)("a")
        assert "invalid literal" in explain(caught.value)


class TestNaming:
    @pytest.mark.parametrize("message, explanation", [("bad", "a.txt: bad"), ("a.txt is bad", "a.txt is bad")])
    def test_a_name_is_there_once(self, message, explanation):
        with pytest.raises(ConfigurationError) as caught, naming("a.txt"):
            raise ConfigurationError(message)
        assert explain(caught.value) == explanation and str(caught.value) == message

    def test_a_bug_gets_none(self):
        with pytest.raises(KeyError) as caught, naming("a.txt"):
            raise KeyError
        assert explain(caught.value) is None


def test_why_a_setting_is_of_none_of_its_types():
    error = ConfigurationError("none of them")
    error.__cause__ = TypeError("while a", "not a number")
    error.__cause__.__cause__ = ConfigurationError("no such type")
    assert explain(error) == "none of them not a number no such type"


@pytest.mark.parametrize(
    "snippet, explanation",
    [
        ("{ a: ", "config:1:6: unexpected end of file"),
        ("{ a: std.extVar('X') }", "expected the environment variable X to be set"),
        ("{ a: b }", "config:1:6: Unknown variable: b"),
    ],
)
def test_jsonnet(snippet, explanation):
    with pytest.raises(RuntimeError) as caught:
        evaluate_snippet("config", snippet)
    assert explanation in explain(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        ValueError("STATIC ERROR: a bug"),
        OSError(2, "No such file", "/nowhere"),
        json.JSONDecodeError("a bug", "<html>", 0),
        KeyError("a"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_bugs(error):
    assert explain(error) is None


def in_process(kind: type[Exception], run) -> Exception:
    """The error that stands for one in another process."""
    try:
        run()
    except Exception as error:
        text = traceback.format_exc()
        if kind is WorkerError:
            return WorkerError(repr(error), [text])
    return ProcessRaisedException(text, error_index=0, error_pid=1)


@pytest.mark.parametrize("kind", [WorkerError, ProcessRaisedException])
def test_in_another_process(kind):
    def explain_there(error: Exception, earlier: Exception | None = None) -> str | None:
        def run():
            try:
                if earlier is not None:
                    raise earlier
            finally:
                raise error

        return explain(in_process(kind, run))

    assert explain_there(ValueError("a bug"), FormatError("expected a")) is None
    assert explain_there(FormatError("expected a"), ValueError("a bug")) == "expected a"
    assert explain_there(ValueError(f"a bug, not\n{FormatError.__module__}.FormatError: x")) is None
    assert explain_there(FormatError("expected a", "x.sdp", 3)) == "x.sdp, line 3: expected a"
    assert explain_there(ConfigurationError("wrong")) == "wrong"
    assert explain_there(ValueError("a bug")) is None
