import runpy

import pytest

from tests import FIXTURES_ROOT, SHARED_DATA


@pytest.mark.slow
@pytest.mark.skipif(SHARED_DATA is None, reason="needs ../shared/data")
def test_slice_is_the_one_its_rule_makes(tmp_path):
    folder = FIXTURES_ROOT / "ewt"
    runpy.run_path(str(folder / "make_slice.py"))["main"](SHARED_DATA / "ewt", tmp_path)
    for name in ("train.sdp", "train.conllu", "dev.sdp", "dev.conllu"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
