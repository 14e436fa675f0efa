import json

import pytest
from allennlp.common.checks import ConfigurationError

from spigot_allennlp.comparing.runs import read_archives, read_log


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/model.tar.gz", "b/model.tar.gz", "c/a/model.tar.gz", "d.tar.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a/model.tar.gz", "d.tar.gz"], {"a": ["a/model.tar.gz"], "d": ["d.tar.gz"]}),
        (["a/model.tar.gz", "c/a/model.tar.gz"], {name: [name] for name in ("a/model.tar.gz", "c/a/model.tar.gz")}),
        (
            ["x=a/model.tar.gz,b/model.tar.gz", "y=d.tar.gz", "x=c/a"],
            {"x": ["a/model.tar.gz", "b/model.tar.gz", "c/a"], "y": ["d.tar.gz"]},
        ),
    ],
)
def test_archives_and_their_names(folder, names, expected):
    assert read_archives(names) == expected


def test_a_file_with_an_equals_sign_in_its_name(folder):
    (folder / "k=3").mkdir()
    (folder / "k=3" / "model.tar.gz").touch()
    assert list(read_archives(["k=3/model.tar.gz", "d.tar.gz"])) == ["k=3", "d"]


@pytest.mark.parametrize(
    "names, message",
    [
        (["a/model.tar.gz"], "two methods or more, found one, a"),
        (["a/model.tar.gz", "x=nowhere.tar.gz"], "found no file nowhere.tar.gz"),
    ],
)
def test_errors(folder, names, message):
    with pytest.raises(ConfigurationError, match=message):
        read_archives(names)


def test_the_log_of_a_training_is_beside_its_archive(folder):
    assert read_log(folder) == {}
    metrics = {"best_epoch": 3, "training_duration": "1 day, 1:02:03.500000"}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert read_log(folder) == {"best_epoch": 3, "seconds": 86400 + 3723.5}
    (folder / "metrics.json").write_text(json.dumps({"training_duration": "0:00:07"}))
    assert read_log(folder) == {"best_epoch": None, "seconds": 7}
