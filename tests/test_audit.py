"""Licences of what is installed here, and that what was not checked is never told as a pass."""

import subprocess
from collections.abc import Callable

import audit
import pytest


def test_every_installed_dependency_has_an_allowed_licence() -> None:
    licences = {name: audit.licence_of(package) for name, package in audit.installed().items()}
    assert {"dvc", "mlflow-skinny", "numpy", "torch"} <= set(licences)
    assert not audit.faults(licences)


def test_exceptions_have_reasons_and_are_for_one_licence() -> None:
    assert all(len(reason) > 20 and not audit.is_allowed(licence) for licence, reason in audit.EXCEPTIONS.values())
    assert audit.faults({"pygit2": "GPL-3.0-only"}) == ["pygit2: licence GPL-3.0-only is not on the list"]


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("MIT AND GPL-2.0-only", False),
        ("(MIT OR AGPL-3.0-only) AND AGPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("", False),
    ],
)
def test_expressions(expression: str, allowed: bool) -> None:
    assert audit.is_allowed(expression) is allowed
    assert bool(audit.faults({"x": expression})) is not allowed


def answers(code: int, stderr: str) -> Callable:
    return lambda *_, **__: subprocess.CompletedProcess([], code, "", stderr)


def test_what_could_not_be_asked_is_said_and_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for stderr in ("No module named pip_audit", "ConnectionError: no route to host", ""):
        monkeypatch.setattr(audit.subprocess, "run", answers(1, stderr))
        assert audit.main() == 3
        assert "known weaknesses: NOT CHECKED" in capsys.readouterr().out
    monkeypatch.setattr(audit.subprocess, "run", answers(1, "Found 2 known vulnerabilities in 1 package"))
    assert audit.main() == 1
    monkeypatch.setattr(audit.subprocess, "run", answers(0, "No known vulnerabilities found"))
    assert audit.main() == 0
