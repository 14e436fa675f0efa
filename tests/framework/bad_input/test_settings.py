import pytest
from requests import HTTPError

from spigot_allennlp.framework.bad_input.settings import fault_of_file, fault_of_setting, names_ours


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"type": "spigot"}, True),
        ({"model": {"stages": [{"type": "spigot_parser"}]}}, True),
        ({"model": {"type": "spigot_allennlp.models.DependencyParser"}}, True),
        ({"model": {"type": "basic_classifier"}, "train_data_path": "spigot/train.txt"}, False),
        ({"type": None, "spigot": 1, "names": ["spigot"]}, False),
        ({}, False),
    ],
)
def test_whether_a_config_is_ours(settings, expected):
    assert names_ours(settings) is expected


@pytest.mark.parametrize(
    "error, is_one",
    [
        (TypeError("f() got an unexpected keyword argument 'colour'"), True),
        (TypeError("f() got an unexpected keyword argument 'shape'"), False),
        (TypeError("Expected colour to be a int."), True),
        (TypeError("Expected colour.0 to be numeric."), True),
        (TypeError("Expected a bug to be a bug"), False),
        (ValueError("batch_size must be at least 1"), True),
        (ValueError("hidden_size must be at least 1"), False),
        (ValueError("no colour"), False),  # a word that a bug's message may have
        (UnicodeError("batch_size"), False),
        (KeyError("batch_size"), False),
        (ValueError("overrides dict contains unused keys: ['a']"), True),
    ],
)
def test_what_constructors_say_of_settings(error, is_one):
    settings = [{"model": {"colour": 1}}, None, {"data_loader.batch_size": 0}]
    assert fault_of_setting(error, settings) == (str(error) if is_one else None)


@pytest.mark.parametrize(
    "error, is_one",
    [
        (FileNotFoundError("file data/train.sdp not found"), True),
        (FileNotFoundError("file data/dev.sdp not found"), False),
        (FileNotFoundError(2, "No such file", "data/train.sdp"), True),
        (PermissionError(13, "No", "output/vocabulary/words.txt"), True),
        (PermissionError(13, "No", "outputs"), False),
        (HTTPError("404 for https://x.org/a.gz"), True),
        (ConnectionResetError("by peer"), False),
        (OSError(28, "No space left"), False),
        (ValueError("file data/train.sdp not found"), False),
    ],
)
def test_files_that_settings_name(error, is_one):
    settings = {"a": ["data/train.sdp"], "b": {"c": "output"}, "d": "https://x.org/a.gz", "e": "", "f": "by"}
    assert fault_of_file(error, [settings, None]) == (str(error) if is_one else None)
    assert fault_of_file(error, None) is None


def test_a_relative_path_is_an_absolute_one_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fault_of_file(FileNotFoundError(2, "No such file", str(tmp_path / "a")), {"a": "a"})
