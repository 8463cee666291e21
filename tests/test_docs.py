"""The pages say what is so: links lead somewhere, names exist, and the examples of docs/extending.md work as shown."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from rl_larnn import memories
from rl_larnn.agents import algorithms, load_run
from rl_larnn.envs import TASKS, registry
from rl_larnn.envs.datasets import load_dataset, readers
from tests.script_cases import caller

ROOT = Path(__file__).parents[1]
PAGES = {
    str(page.relative_to(ROOT)): page.read_text(encoding="utf-8")
    for page in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
}
EXTENDING = PAGES["docs/extending.md"]
EXAMPLES = dict(re.findall(r"```python\n# (my_\w+)\.py\n(.*?)```", EXTENDING, re.DOTALL))
ROWS = dict(re.findall(r"```python\n# row in (\S+)\n(.*?)```", EXTENDING, re.DOTALL))


def anchors(page: str) -> set[str]:
    """The ends of the links to the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for name, page in PAGES.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", page):
            place, _, anchor = link.partition("#")
            if "://" in link:
                continue
            target = (ROOT / name).parent / place if place else ROOT / name
            if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
                broken.append(f"{name}: {link}")
    assert broken == []


def find(dotted: str) -> Any:
    """What a dotted name means: a module, or something in one.

    :raises AttributeError: if there is no such thing
    """
    parts = dotted.split(".")
    found: Any = importlib.import_module(parts[0])
    for number, part in enumerate(parts[1:], 2):
        if not hasattr(found, part):
            try:
                importlib.import_module(".".join(parts[:number]))
            except ModuleNotFoundError:
                raise AttributeError(f"there is no {dotted}") from None
        found = getattr(found, part)
    return found


def test_every_dotted_name_exists() -> None:
    """The changelog and the notebook of experiments tell of the past."""
    past = ("CHANGELOG.md", "docs/results/notebook.md")
    named = {name for page in PAGES if page not in past for name in re.findall(r"rl_larnn(?:\.\w+)+", PAGES[page])}
    assert len(named) > 10
    missing = []
    for name in sorted(named):
        try:
            find(name)
        except AttributeError:
            missing.append(name)
    assert missing == []


def test_every_named_file_exists() -> None:
    new = set(re.findall(r"^\|[^|]*\| `(\S+\.py)` \|", EXTENDING, re.MULTILINE))
    assert len(new) == 4
    for page in ("README.md", "CONTRIBUTING.md", *(name for name in PAGES if name.count("/") == 1)):
        named = set(re.findall(r"\b(?:rl_larnn|agents|envs|scripts|tests|docs)/[\w/]+\.\w+", PAGES[page])) - new
        assert {name for name in named if not (ROOT / name).exists()} == set(), page


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].split()) <= 1000


def test_the_map_names_every_room() -> None:
    code_map = PAGES["docs/code-map.md"]
    rooms = {
        f"{path.parent.relative_to(ROOT)}/"
        for top in ("rl_larnn", "agents", "envs")
        for path in (ROOT / top).rglob("__init__.py")
    }
    (tree,) = re.findall(r"```text\n(.*?)```", code_map, re.DOTALL)
    named, parents = set(), {}
    for indent, name in re.findall(r"^( *)([\w/]+/) ", tree, re.MULTILINE):
        parents[len(indent)] = name
        named.add("".join(parents[depth] for depth in sorted(parents) if depth <= len(indent)))
    assert rooms <= named
    path = re.findall(r"^\d+\. `([\w/]+\.py)`", code_map, re.MULTILINE)
    assert 10 < len(path) <= 30 and all((ROOT / name).exists() for name in path)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """A module of the page, imported from the working directory; nothing of it stays behind."""
    name, tables = request.param, [(table, dict(table)) for table in (TASKS, gym.registry)]
    assert len(EXAMPLES[name].splitlines()) < 60
    (tmp_path / f"{name}.py").write_text(EXAMPLES[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    gym.registry.pop("DelayedCue-v0", None)
    yield importlib.import_module(name)
    del sys.modules[name]
    for table, before in tables:
        table.clear()
        table.update(before)


def row(place: str, module: ModuleType, example: ModuleType, **names: Any) -> Any:
    """The value of a row of the page, where the names of the table's module and of the example are known."""
    text = re.sub(r"^\w+(: [\w\[\]]+)? = ", "", ROWS[place].strip())
    text = f"{{{text}}}" if text.startswith('"') else text
    return eval(text, {**vars(module), **vars(example), **names})


def train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> None:
    """Train for a moment, through the script."""
    call = caller("train_agent", monkeypatch, capsys)
    status, _, err = call(*options, "-n", "256", "--eval-episodes", "1", "--run-dir", "run", "--device", "cpu")
    assert (status, err) == (0, "")


@pytest.mark.parametrize("example", ["my_memory"], indirect=True)
def test_a_new_memory(example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    train(monkeypatch, capsys, "--env", "CartPole-POMDP", "--memory", "my_memory:RunningAverage")
    assert type(load_run("run").model.policy.actor_memory) is example.RunningAverage
    assert caller("evaluate_agent", monkeypatch, capsys)("run", "--episodes", "1")[0] == 0
    table = row("rl_larnn/memories/__init__.py", memories, example)
    assert table == {"running-average": example.RunningAverage}


@pytest.mark.parametrize("example", ["my_task"], indirect=True)
def test_a_new_task(example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    train(monkeypatch, capsys, "--env", "my_task:DelayedCue")
    assert load_run("run").settings.env == "my_task:DelayedCue-v0"
    assert TASKS["DelayedCue-v0"] is example.TASKS[0]
    assert row("envs/registry.py", registry, example, delayed_cue=example)[-1] is example


@pytest.mark.parametrize("example", ["my_algorithm"], indirect=True)
def test_a_new_algorithm(example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for name, algorithm in row("agents/algorithms.py", algorithms, example).items():
        monkeypatch.setitem(algorithms.ALGORITHMS, name, algorithm)
    train(monkeypatch, capsys, "--env", "CartPole-POMDP", "--algo", "recurrent-a2c", "--memory", "gru")
    run = load_run("run")
    assert type(run.model) is example.RecurrentA2C and run.settings.memory == "gru"


@pytest.mark.parametrize("example", ["my_reader"], indirect=True)
def test_a_new_dataset_format(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    terminals = np.array([0, 0, 1, 0, 1, 0])  # two episodes, and the beginning of a third
    arrays = {"observations": np.eye(6, 2, dtype=np.float32), "actions": terminals, "rewards": np.ones(6)}
    np.savez("episodes.npz", **arrays, terminals=terminals)
    monkeypatch.setattr(readers, "READERS", row("envs/datasets/readers/__init__.py", readers, example))
    assert list(load_dataset("episodes.npz").returns) == [3.0, 2.0]
