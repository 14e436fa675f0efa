import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_SHARED = _ROOT.parent / "shared" / "data"

FIXTURES_ROOT = _ROOT / "fixtures"
"""Small data that comes with the repository."""

SHARED_DATA = _SHARED if _SHARED.is_dir() else None
"""Large data beside the repository, or `None` where there is none; tests that need it are skipped then."""

PATIENCE = 120
"""For how many seconds a test waits for what has to come: a busy machine is slow."""

ALL_TESTS = os.environ.get("CI", "").lower() not in ("", "0", "false")
"""Whether tests marked `slow` run, and every pair of surrogate and structure: both take long."""
