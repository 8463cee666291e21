"""The README keeps to what the tables of the code say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rl_larnn.envs import TASKS
from rl_larnn.memories import MEMORIES, memory_options
from rl_larnn.policies import POLICY_ALIASES

README = (Path(__file__).parents[1] / "README.md").read_text()


def cells(first: str) -> list[str]:
    """The cells of the table row that begins with a name."""
    (row,) = re.findall(rf"^\| `{re.escape(first)}` \|.*$", README, flags=re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_stands_there_with_its_numbers(task: object) -> None:
    _, _, *numbers = cells(task.id)  # type: ignore[attr-defined]
    bounds = [getattr(task, name).value for name in ("random", "floor", "ceiling")]
    expected = [task.max_episode_steps, task.reward_threshold, *bounds]  # type: ignore[attr-defined]
    assert [float(number) for number in numbers] == pytest.approx(expected, abs=0.051)


@pytest.mark.parametrize("memory", MEMORIES)
def test_every_memory_stands_there_with_its_options(memory: str) -> None:
    assert re.findall(r"`(\w+)`", cells(memory)[-1]) == memory_options(memory)


def test_every_named_policy_exists() -> None:
    named = re.findall(r"\b((?:Mlp|Cnn|MultiInput)[A-Z]\w+Policy)\b", README)
    assert named and set(named) <= POLICY_ALIASES.keys()


def test_every_named_file_exists() -> None:
    root = Path(__file__).parents[1]
    named = set(re.findall(r"(?:rl_larnn|agents|envs|scripts|docs)/[\w/]+\.\w+", README))
    assert len(named) > 5 and all((root / name).exists() for name in named)
