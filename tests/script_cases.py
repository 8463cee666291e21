"""Running a script's main in this process, as the command line would."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

#: Arguments to exit status, stdout and stderr.
Call = Callable[..., tuple[int, str, str]]


def load_script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of ``scripts/<name>.py``, loaded as Python does for a script."""
    monkeypatch.syspath_prepend(SCRIPTS)
    spec = importlib.util.spec_from_file_location(f"script_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def caller(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """What runs ``scripts/<name>.py`` with the arguments that it is given."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"scripts/{name}.py", *arguments])
        module = load_script(name, monkeypatch)
        capsys.readouterr()
        return module.main(), *capsys.readouterr()

    return run
