import json
import tarfile

import pytest

from spigot_allennlp.server.description import describe, describe_archive
from tests import FIXTURES_ROOT

TOY = FIXTURES_ROOT / "toy" / "toy.sdp"


def test_method_structure_and_labels():
    config = {
        "model": {
            "type": "spigot_latent_tree_classifier",
            "intermediate": {"type": "sparsemap", "max_iter": 5, "structure": {"type": "matching"}},
        },
        "dataset_reader": {"type": "multitask", "readers": {"a": {}, "b": {"label_names": {"1": "good"}}}},
    }
    description = describe(config, "a/model.tar.gz")
    examples = description.pop("examples")
    assert description == {
        "archive": "a/model.tar.gz",
        "model": "spigot_latent_tree_classifier",
        "method": "sparsemap",
        "options": {"max_iter": 5},
        "structure": {"type": "matching"},
        "label_names": {"1": "good"},
    }
    assert examples and all(example.keys() == {"sentence"} for example in examples)


def test_a_parser_alone_has_no_method_and_the_default_is_named():
    assert "method" not in describe({"model": {"type": "spigot_dependency_parser"}}, "a")
    assert describe({"model": {"intermediate": {"structure": "heads"}}}, "a")["method"] == "spigot"


@pytest.mark.parametrize(
    "reader, path, expected",
    [
        ({"type": "spigot_sdp"}, TOY, {"tokens", "tags", "lemmas"}),
        ({"type": "spigot_conllu"}, TOY.with_suffix(".conllu"), {"tokens", "tags", "lemmas"}),
        ({"type": "spigot_sentiment"}, FIXTURES_ROOT / "listops" / "dev.jsonl", {"tokens", "tags", "lemmas"}),
        ({"type": "spigot_sdp"}, "nowhere.sdp", {"sentence"}),
        ({"type": "spigot_sdp"}, TOY.with_suffix(".conllu"), {"sentence"}),  # which is malformed then
    ],
)
def test_examples_are_of_the_validation_data_if_it_is_there(reader, path, expected):
    examples = describe({"dataset_reader": reader, "validation_data_path": str(path)}, "a")["examples"]
    assert 1 <= len(examples) <= 3 and all(example.keys() == expected for example in examples)


@pytest.mark.parametrize(
    "path, is_shown",
    [
        ("data/dev.tsv", True),
        ("{folder}/here/data/dev.tsv", True),
        ("{folder}/dev.tsv", False),
        ("{folder}/hereafter/dev.tsv", False),
        ("../dev.tsv", False),
        ("data/../../dev.tsv", False),
        ("{folder}/here/../dev.tsv", False),
        ("~/dev.tsv", False),
    ],
)
def test_examples_are_of_the_current_folder_alone(tmp_path, monkeypatch, path, is_shown):
    (tmp_path / "here").mkdir()
    for folder in (".", "hereafter", "here/data", "here/~"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "dev.tsv").write_text("1\tA letter that nobody may read\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    reader = {"type": "spigot_sentiment"}
    config = {"dataset_reader": reader, "validation_data_path": path.format(folder=tmp_path)}
    examples = describe(config, "a")["examples"]
    assert (examples == [{"sentence": "A letter that nobody may read"}]) == is_shown


def test_of_several_tasks_the_examples_have_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dev.tsv").write_text("1\tA funny film that works\n0\tIt is not a good film\n")
    readers = {"graphs": {"type": "spigot_sdp"}, "mood": {"type": "spigot_sentiment"}}
    paths = {"graphs": str(TOY), "mood": str(tmp_path / "dev.tsv")}
    config = {"dataset_reader": {"type": "multitask", "readers": readers}, "validation_data_path": paths}
    examples = describe(config, "a")["examples"]
    assert examples == [{"sentence": "A funny film that works"}, {"sentence": "It is not a good film"}]


def test_an_archive_is_read_and_overridden(tmp_path):
    folder = tmp_path / "spigot_run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model": {"type": "a", "intermediate": {"type": "pipeline"}}}))
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "config.json", "config.json")
    description = describe_archive(folder / "model.tar.gz", '{"model.intermediate.type": "spigot"}')
    assert (description["archive"], description["method"]) == ("spigot_run/model.tar.gz", "spigot")
    assert describe_archive(folder)["method"] == "pipeline"


def test_a_type_may_be_all_that_is_said(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model": {"type": "a"}}))
    description = describe_archive(tmp_path, '{"model.intermediate": "pipeline"}')
    assert (description["method"], description["options"]) == ("pipeline", {})


@pytest.mark.parametrize(
    "config",
    [[], {"model": "a"}, {"model": {"intermediate": 1}}, {"dataset_reader": "a"}, {"validation_data_path": {}}],
)
def test_what_is_no_config_of_ours_has_its_name_alone(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    description = describe_archive(tmp_path)
    assert description["archive"].endswith(tmp_path.name) and description["model"] is None


def test_an_archive_without_a_config_has_its_name_alone(tmp_path):
    (tmp_path / "config.json").mkdir()
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "config.json", "config.json")
    assert describe_archive(tmp_path / "model.tar.gz")["model"] is None


@pytest.mark.parametrize("content", [None, b"none", b"\x1f\x8b\x08\x00"])
def test_what_is_no_archive_has_its_name_alone(tmp_path, content):
    if content is not None:
        (tmp_path / "model.tar.gz").write_bytes(content)
    description = describe_archive(tmp_path / "model.tar.gz")
    assert description["archive"] == f"{tmp_path.name}/model.tar.gz" and description["model"] is None
