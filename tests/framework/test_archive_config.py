import io
import tarfile

import pytest

from spigot_allennlp.framework.archive_config import read_config


def pack(path, content):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("config.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def test_of_a_file_and_of_a_folder(tmp_path):
    assert read_config(pack(tmp_path / "model.tar.gz", b'{"model": {"type": "a"}}')) == {"model": {"type": "a"}}
    (tmp_path / "config.json").write_text("{model: {type: 'b'}, // in Jsonnet\n}")
    assert read_config(tmp_path) == {"model": {"type": "b"}}


def test_what_is_no_dictionary_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"expected a dictionary .* found list"):
        read_config(pack(tmp_path / "model.tar.gz", b"[1]"))


def test_a_folder_in_place_of_the_config_is_an_error(tmp_path):
    (tmp_path / "config.json").mkdir()
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "config.json", "config.json")
    with pytest.raises(ValueError, match="expected a file"):
        read_config(tmp_path / "model.tar.gz")
