"""Who may import whom, and that no folder is missing from the distribution."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_larnn.agents.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[1]

#: Import name of each top-level folder with code.
FOLDERS = {"rl_larnn": "rl_larnn", "agents": "rl_larnn.agents", "envs": "rl_larnn.envs", "scripts": "scripts"}

#: What each part of the library may import of it; a part is a module, or a package with all that it holds.
CORE = {
    *("errors", "files", "state", "observations", "native", "scan", "memory", "memories"),
    *("optimizer", "upstream", "policies", "buffer"),
}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "state": set(),
    "observations": set(),
    "native": {"native"},
    "scan": {"state", "native"},
    "memory": {"state"},
    "memories": {"errors", "state", "native", "scan", "memory", "memories"},
    "optimizer": {"native"},
    "upstream": {"state", "observations"},
    "policies": CORE - {"buffer"},
    "buffer": CORE - {"policies"},
    "": CORE,  # rl_larnn/__init__.py
    "envs": {"envs", "errors", "files"},
    "agents": {*CORE, "", "envs", "agents"},
    "scripts": {*CORE, "", "envs", "agents", "scripts"},
}

#: What each room of agents may import of the others; a room is a folder, or a module at the root.
_MODELS = {"algorithms", "recurrent_ppo", "components", "settings", "runs", "reporting"}
_TRAINING = {*_MODELS, "offline", "evaluation"}
ROOMS: dict[str, set[str]] = {
    "reporting": set(),
    "components": set(),
    "recurrent_ppo": {"components"},
    "algorithms": {"recurrent_ppo", "components"},
    "settings": {"algorithms", "recurrent_ppo", "components"},
    "runs": {"settings", "algorithms", "recurrent_ppo", "components"},
    "offline": {*_MODELS},
    "evaluation": {*_MODELS},
    "training": _TRAINING,
    "probes": {*_MODELS},
    "certificate": {*_TRAINING},
    "behaviours": {*_TRAINING, "training"},
    "benchmark": {*_TRAINING, "training"},
    "suites": {*_TRAINING, "training", "behaviours"},
    "": {"recurrent_ppo", "components", "evaluation", "certificate"},  # agents/__init__.py: the public names
}

#: The same for the folders of envs; the modules at its root are free.
ENVS: dict[str, set[str]] = {
    "wrappers": set(),
    "bounds": {"wrappers"},
    "tasks": {"bounds", "wrappers"},
    "datasets": {"tasks", "wrappers"},
}

#: What importing the algorithm must not import.
NOT_FOR_LEARNING = (
    "rl_larnn.envs",
    "rl_larnn.agents.certificate",
    "rl_larnn.agents.training",
    "matplotlib",
    "ray",
    "h5py",
)

LEARNING = {"stable_baselines3", "sb3_contrib"}
MAY_LEARN = {"upstream", "policies", "buffer", "agents", "scripts"}


def source_files(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "build" not in path.relative_to(ROOT).parts)


def module_name(path: Path) -> str:
    """The name that a file is imported by."""
    top, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[top], *(part for part in rest if part != "__init__")])


def part_of(module: str) -> str:
    """The key of :data:`ALLOWED` for a module: ``rl_larnn.memories.gru`` is of ``memories``."""
    if module.split(".")[0] == "scripts":
        return "scripts"
    return module.split(".")[1] if "." in module else ""


def folder_of_envs(module: str) -> str:
    """The key of :data:`ENVS` for a module of envs; empty for one at the root."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[2] in ENVS else ""


def room_of(module: str) -> str:
    """The key of :data:`ROOMS` for a module of agents; empty for the package itself and its public names."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[2] in ROOMS else ""


def imports(tree: ast.AST, path: Path) -> Iterator[str]:
    """Full names of all that is imported, anywhere in a file, for type checking only or inside a function too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = f"{_package(path, node.level)}.{node.module or ''}".strip(".")
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def _package(path: Path, dots: int) -> str:
    """The package that a relative import of so many dots starts from; nothing for an absolute one."""
    package = module_name(path).split(".") + (["__init__"] if path.name == "__init__.py" else [])
    return ".".join(package[: len(package) - dots]) if dots else ""


def breaches(path: Path, source: str) -> list[str]:
    """What a file imports or does against the rules."""
    part, tree, found = part_of(module_name(path)), ast.parse(source), []
    for name in imports(tree, path):
        top = name.split(".")[0]
        inside = top in ("rl_larnn", "scripts")
        if inside and name != "rl_larnn.__version__" and part_of(_module_in(name)) not in ALLOWED[part]:
            found.append(f"imports {name}")
        if name.startswith("rl_larnn.agents.") and part == "agents":
            room, other = room_of(module_name(path)), room_of(name)
            if other and other != room and other not in ROOMS[room]:
                found.append(f"imports {name}")
        if name.startswith("rl_larnn.envs.") and part == "envs":
            own, other = folder_of_envs(module_name(path)), folder_of_envs(name)
            if own and other and other != own and other not in ENVS[own]:
                found.append(f"imports {name}")
        if top in ("agents", "envs", "memories"):
            found.append(f"imports {top} without rl_larnn before it")
        if top in LEARNING and part not in MAY_LEARN:
            found.append(f"imports {name}")
        if top == "torch" and part == "envs":
            found.append(f"imports {name}")
        if top == "argparse" and part != "scripts":
            found.append("reads the command line")
    prints = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print")
    return found + [f"prints (line {node.lineno})" for node in prints if part != "scripts"]


def _module_in(name: str) -> str:
    """``rl_larnn.find`` (a name of the package itself) is of ``rl_larnn``, ``rl_larnn.scan`` is a module of it."""
    parts = name.split(".")
    return name if parts[0] == "scripts" or len(parts) < 2 or parts[1] in ALLOWED else parts[0]


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_downwards(folder: str) -> None:
    files = source_files(folder)
    assert files
    found = {str(path.relative_to(ROOT)): breaches(path, path.read_text(encoding="utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "path, line",
    [
        ("rl_larnn/state.py", "from rl_larnn.scan import average_scan"),
        ("rl_larnn/scan.py", "import rl_larnn.memory"),
        ("rl_larnn/memory.py", "from rl_larnn import scan"),
        ("rl_larnn/memories/gru.py", "from rl_larnn.policies import MlpGruPolicy"),
        ("rl_larnn/memories/gru.py", "from ..policies import MlpGruPolicy"),
        ("rl_larnn/memories/gru.py", "def late():\n    import stable_baselines3"),
        ("rl_larnn/memories/__init__.py", "from .. import policies"),
        ("rl_larnn/policies.py", "from rl_larnn.agents import RecurrentPPO"),
        ("rl_larnn/policies.py", "from rl_larnn.buffer import RolloutBuffer"),
        ("rl_larnn/buffer.py", "import rl_larnn.envs"),
        ("rl_larnn/__init__.py", "from rl_larnn.envs import make"),
        ("envs/wrappers.py", "import torch.nn"),
        ("envs/wrappers.py", "from sb3_contrib import RecurrentPPO"),
        ("envs/wrappers.py", "from rl_larnn import find_memory"),
        ("envs/wrappers.py", "from rl_larnn.agents.runs.folder import new_run"),
        ("envs/wrappers.py", "from envs import registry"),
        ("agents/training/run.py", "import agents.runs"),
        ("agents/training/run.py", "import argparse"),
        ("agents/training/run.py", "print('hello')"),
        ("agents/training/run.py", "import scripts.train_agent"),
        ("agents/training/run.py", "from rl_larnn.agents.suites import run"),
        ("agents/settings/config.py", "from rl_larnn.agents.runs.folder import CONFIG"),
        ("agents/components/checks.py", "def late():\n    from rl_larnn.agents.recurrent_ppo import RecurrentPPO"),
        ("agents/evaluation/load.py", "import rl_larnn.agents.certificate"),
        ("envs/bounds/floor.py", "from rl_larnn.envs.tasks.cards import CARDS"),
        ("envs/wrappers/cues.py", "import rl_larnn.envs.datasets"),
    ],
)
def test_each_rule_can_be_broken(path: str, line: str) -> None:
    assert breaches(ROOT / path, line)


@pytest.mark.parametrize(
    "path, line",
    [
        ("rl_larnn/memories/gru.py", "from rl_larnn.memory import Memory\nfrom .stack import Stack"),
        ("rl_larnn/policies.py", "import sb3_contrib\nfrom rl_larnn.memories import find_memory"),
        ("agents/training/run.py", "import stable_baselines3, torch\nfrom rl_larnn import __version__, policies, envs"),
        ("scripts/train_agent.py", "import argparse\nfrom rl_larnn.agents import RecurrentPPO\nprint(argparse)"),
        ("envs/wrappers.py", "import gymnasium\nfrom rl_larnn.envs.task import Task"),
    ],
)
def test_no_rule_is_stricter_than_meant(path: str, line: str) -> None:
    assert breaches(ROOT / path, line) == []


def test_the_table_of_rooms_is_whole_and_has_no_circle() -> None:
    """A module at the root that is not in the table is one more algorithm; it may import what "" may."""
    folders = {path.parent.name for path in (ROOT / "agents").glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / "agents").glob("*.py")}
    assert folders <= ROOMS.keys() - {""} <= folders | modules
    algorithms = {row.learner.__module__.rpartition(".")[2] for row in ALGORITHMS.values()}
    assert modules - ROOMS.keys() - {"__init__"} <= algorithms, "only algorithms lie at the root"
    done: set[str] = set()
    while len(done) < len(ROOMS):
        free = {room for room, needs in ROOMS.items() if room not in done and needs <= done}
        assert free, f"a circle among {ROOMS.keys() - done}"
        done |= free


def test_learning_imports_no_tasks_certificate_plots_or_ray() -> None:
    code = "import sys; from rl_larnn.agents import RecurrentPPO; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in found if name.startswith(NOT_FOR_LEARNING)} == set()
    code = "from rl_larnn.agents import certify, load_run; print(certify.__name__, load_run.__name__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["certify", "load_run"]


def test_every_folder_with_code_is_in_the_distribution() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent for top in ("rl_larnn", "agents", "envs") for path in source_files(top)}
    assert set(listed["packages"]) == {module_name(folder / "__init__.py") for folder in folders}
    assert all((folder / "__init__.py").exists() for folder in folders)
    assert listed["package-dir"] == {name: folder for folder, name in FOLDERS.items() if folder != "scripts"}


def test_scripts_stay_short() -> None:
    """What a script does beyond parsing, calling and printing belongs into agents."""
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in source_files("scripts")}
    assert {name: count for name, count in lines.items() if count >= 100} == {}
