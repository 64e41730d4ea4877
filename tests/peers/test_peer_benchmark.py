"""The benchmark's small size: every contestant that is installed gives our result."""

import subprocess
import sys

import pytest
from beside import ROOT

pytestmark = pytest.mark.peers


def test_contestants_agree() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/peers.py"), "--small"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("0 differ\n")
    assert done.stdout.count(": equal") >= 10
