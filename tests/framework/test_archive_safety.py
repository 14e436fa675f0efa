import errno
import io
import json
import re
import tarfile
import tempfile
from pathlib import Path

import pytest
from allennlp.common.checks import ConfigurationError
from allennlp.common.plugins import LOCAL_PLUGINS_FILENAME

from spigot_allennlp.framework.archive_safety import Trust
from spigot_allennlp.framework.bad_input import archive as bad_input_archive
from spigot_allennlp.framework.bad_input import explain
from spigot_allennlp.framework.bad_input.archive import load_archive
from spigot_allennlp.framework.bad_input.command import Command


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    """A working directory, and a place where archives are extracted."""
    for name in ("work", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def config_of(archive: Path) -> dict:
    with tarfile.open(archive) as source:
        return json.load(source.extractfile("config.json"))


@pytest.fixture
def make(parser_archive, tmp_path):
    """An archive like the good one with another config, or with more members."""

    def make(config: dict | None = None, *members: tarfile.TarInfo, name: str = "model.tar.gz") -> Path:
        with tarfile.open(parser_archive) as source, tarfile.open(tmp_path / name, "w:gz") as target:
            for member in filter(tarfile.TarInfo.isfile, source.getmembers()):
                content = source.extractfile(member).read()
                if member.name == "config.json" and config is not None:
                    content = json.dumps(config).encode()
                    member.size = len(content)
                target.addfile(member, io.BytesIO(content))
            for member in members:
                target.addfile(member, io.BytesIO(b"bad"))
        return tmp_path / name

    return make


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, 3 if kind == tarfile.REGTYPE else 0
    return info


def with_type(config: dict, name: str, **settings) -> dict:
    """A config whose reader would call that with these settings."""
    return {**config, "dataset_reader": {"type": name, **settings}}


def the_framework_loads(archive: Path, *options: str) -> None:
    """What happens before `allennlp predict` loads an archive."""
    Command(["predict", str(archive), "input.jsonl", *options]).check()


LOADERS = pytest.mark.parametrize("load", [load_archive, the_framework_loads])


@LOADERS
@pytest.mark.parametrize("has_filters", [True, False])
@pytest.mark.parametrize(
    "bad",
    [
        member("../../outside"),
        member("vocabulary/../../../outside"),
        member("{folder}/outside"),
        member("link", tarfile.SYMTYPE, "{folder}"),
        member("link", tarfile.LNKTYPE, "{folder}/outside"),
        member("pipe", tarfile.FIFOTYPE),
        member("./config.json"),
    ],
    ids=lambda bad: f"{bad.name}-{bad.type}",
)
def test_nothing_is_written_outside(make, load, has_filters, bad, tmp_path, monkeypatch):
    if not has_filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    bad = bad.replace(name=bad.name.format(folder=tmp_path), linkname=bad.linkname.format(folder=tmp_path))
    archive = make(None, bad)
    with pytest.raises(ConfigurationError) as raised:
        load(archive)
    expected = f"{archive}: expected files of its own folder alone, each once, found {bad.name!r}"
    assert explain(raised.value) == expected
    assert {path.name for path in tmp_path.iterdir()} == {"work", "temporary", "model.tar.gz"}
    assert not list((tmp_path / "temporary").iterdir())


@LOADERS
@pytest.mark.parametrize(
    "name",
    [
        "subprocess.Popen",
        "torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler.Popen",
        "allennlp.common.util.import_module_and_submodules",
        "spigot_allennlp.framework.archive_safety.tempfile",
        "torch.hub.load",
        "allennlp.training.callbacks.TensorBoardCallback",
        "spigot_allennlp.training.callbacks.monitor.MonitorCallback",
        "no-identifier.Popen",
        "__main__.run",
    ],
)
def test_code_that_is_no_class_of_a_model_is_not_named(make, parser_archive, load, name, tmp_path):
    touched = tmp_path / "touched"
    archive = make(with_type(config_of(parser_archive), name, args=["touch", str(touched)]))
    with pytest.raises(ConfigurationError) as raised:
        load(archive)
    expected = "expected a class of allennlp, allennlp_models, spigot_allennlp or torch.nn at dataset_reader.type"
    assert f"{archive}: {expected}, found '{name}'" in explain(raised.value)
    assert not touched.exists()


@pytest.mark.parametrize(
    "change, place",
    [
        ({"validation_dataset_reader": {"type": "spigot_sdp", "x": [0, {"type": "os.abort"}]}}, "x.1.type"),
        ({"model": {"type": "spigot_semantic_parser", "encoder": "os.abort"}}, "model.encoder"),
        ({"model": {"type": "spigot_semantic_parser", "transformer_kwargs": {"trust_remote_code": True}}}, "_code"),
    ],
)
def test_wherever_it_stands(make, parser_archive, change, place):
    with pytest.raises(ConfigurationError, match=f"{re.escape(place)}[;,]"):
        load_archive(make({**config_of(parser_archive), **change}))


@LOADERS
def test_an_archive_that_is_named_in_one_is_checked_too(make, parser_archive, load):
    config = config_of(parser_archive)
    inner = make(with_type(config, "subprocess.Popen", args=["true"]), name="inner.tar.gz")
    archive = make({**config, "model": {"type": "from_archive", "archive_file": str(inner)}})
    with pytest.raises(ConfigurationError, match=r"found 'subprocess\.Popen'"):
        load(archive)


def test_a_folder_is_checked_too(make, parser_archive, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(with_type(config_of(parser_archive), "subprocess.Popen")))
    for load in (load_archive, the_framework_loads):
        with pytest.raises(ConfigurationError, match=r"found 'subprocess\.Popen'"):
            load(tmp_path)


@LOADERS
def test_what_models_are_made_of_may_be_named(make, parser_archive, load):
    config = config_of(parser_archive)
    reader = {**config["dataset_reader"], "type": "spigot_allennlp.data.dataset_readers.SdpReader"}
    label_feedforward = {"num_layers": 1, "hidden_dims": 4, "activations": "torch.nn.ReLU"}
    model = {**config["model"]}
    model["syntactic_parser"] = {**model["syntactic_parser"], "label_feedforward": label_feedforward}
    trainer = {**config["trainer"], "optimizer": {"type": "os.abort"}}
    paths = {"train_data_path": "test.sdp", "validation_data_path": "test.sdp"}
    load(make({**config, **paths, "dataset_reader": reader, "model": model, "trainer": trainer}))


@LOADERS
def test_a_class_that_does_not_exist_is_the_frameworks_error(make, parser_archive, load):
    archive = make(with_type(config_of(parser_archive), "spigot_allennlp.nowhere.Reader"))
    if load is the_framework_loads:
        load(archive)
        return
    with pytest.raises(ConfigurationError, match=r"unable to import module spigot_allennlp\.nowhere"):
        load(archive)


class TestTrust:
    @pytest.fixture
    def archive(self, make, parser_archive):
        return make(with_type(config_of(parser_archive), "my_package.readers.Reader"))

    def test_of_packages_that_the_command_names(self, archive):
        the_framework_loads(archive, "--include-package", "my_package.models")
        with pytest.raises(ConfigurationError, match=r"found 'my_package\.readers\.Reader'"):
            the_framework_loads(archive, "--include-package", "my_package_2")

    def test_of_plugins(self, archive):
        Path(LOCAL_PLUGINS_FILENAME).write_text("my_package.plugin\n")
        the_framework_loads(archive)
        assert Trust.by_user(["other"]).packages[:2] == ("other", "my_package")

    @pytest.mark.parametrize("trust", [Trust(("my_package",)), Trust(everybody=True)])
    def test_from_python(self, archive, trust):
        with pytest.raises(ConfigurationError, match="unable to import module my_package"):
            load_archive(archive, trust=trust)

    def test_of_a_command_of_ours(self):
        command = Command(["spigot-serve", "--archive-path", "a", "--trust", "--include-package", "b.c"])
        assert command.trust.everybody and command.trust.packages == ("b",)


def test_a_full_disk_is_not_the_archives_fault(parser_archive, tmp_path, monkeypatch):
    def copy(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile, "copyfileobj", copy)
    with pytest.raises(OSError) as raised:
        load_archive(parser_archive)
    assert explain(raised.value) == (
        f"expected room for the content of {parser_archive} in the folder for temporary files, found "
        "[Errno 28] No space left on device"
    )
    assert not list((tmp_path / "temporary").iterdir())


def test_no_folder_for_temporary_files_is_not_the_archives_fault(parser_archive, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "nowhere")])
    with pytest.raises(OSError) as raised:
        bad_input_archive.load_archive(parser_archive)
    assert explain(raised.value).startswith(f"expected room for the content of {parser_archive} in the folder for")
