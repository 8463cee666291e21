"""The wheel holds every module, under one import root."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
IMPORTED_AS = {"rl_larnn": "rl_larnn", "agents": "rl_larnn/agents", "envs": "rl_larnn/envs"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel that is built from a copy, so that no build folder is left in the repository."""
    copy, output = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for folder in IMPORTED_AS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (path,) = output.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_every_module(wheel: list[str]) -> None:
    expected = {"rl_larnn/py.typed"}
    for folder, name in IMPORTED_AS.items():
        files = (path.relative_to(ROOT / folder).as_posix() for path in (ROOT / folder).rglob("*.py"))
        expected |= {f"{name}/{file}" for file in files}
    kernels = [path for path in (ROOT / "rl_larnn" / "native").iterdir() if path.suffix in (".h", ".cpp")]
    expected |= {f"rl_larnn/native/{path.name}" for path in kernels}
    assert expected <= set(wheel)


def test_the_wheel_takes_no_name_but_its_own(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"rl_larnn"}
    assert sum(name.endswith(".dist-info/licenses/LICENSE") for name in wheel) == 1
