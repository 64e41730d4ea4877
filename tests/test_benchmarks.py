"""Benchmarks run, and their kernels agree with the plain forms; times are never asserted."""

import subprocess
import sys

from conftest import ROOT


def test_kernels_agree_with_the_plain_forms() -> None:
    """The small version of benchmarks/kernels.py compares every result before it prints a time."""
    command = [sys.executable, str(ROOT / "benchmarks/kernels.py"), "--small"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ratio=") == 13
