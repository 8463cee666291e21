"""Running a script's main in this process, as the command line would."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

#: Arguments to exit status, stdout and stderr.
Call = Callable[..., tuple[int, str, str]]


def caller(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """What runs ``scripts/<name>.py`` with the arguments that it is given."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"scripts/{name}.py", *arguments])
        monkeypatch.syspath_prepend(SCRIPTS)  # as Python does for a script
        spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        capsys.readouterr()
        return module.main(), *capsys.readouterr()

    return run
