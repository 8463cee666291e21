"""The README and the pages under docs/ keep to what the tables of the code say."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest

from rl_larnn.agents.algorithms import BASELINES, OURS
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs import TASKS
from rl_larnn.memories import DEFAULT_MEMORY, MEMORIES, memory_options
from rl_larnn.policies import POLICY_ALIASES, MemoryActorCriticPolicy
from tests.script_cases import load_script

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README, TASKS_PAGE, MEMORIES_PAGE, LIBRARY, COMMANDS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/tasks.md", "docs/memories.md", "docs/library.md", "docs/command-line.md")
)


def cells(page: str, first: str) -> list[str]:
    """The cells of the table row that begins with a name."""
    (row,) = re.findall(rf"^\| `{re.escape(first)}` \|.*$", page, flags=re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_page_of_tasks_has_the_numbers_of_every_task() -> None:
    for task in TASKS.values():
        _, _, *numbers = cells(TASKS_PAGE, task.id)
        bounds = [bound.value for bound in (task.random, task.floor, task.ceiling)]
        expected = [task.max_episode_steps, task.reward_threshold, *bounds]
        assert [float(number) for number in numbers] == pytest.approx(expected, abs=0.051), task.id


def test_memories_and_their_options_are_those_of_the_table() -> None:
    """A memory that was added needs no row; what a page does say is right."""
    options = re.findall(r"^\| `(\w+)` \|.*\| (`hidden_size`.*) \|$", MEMORIES_PAGE, flags=re.MULTILINE)
    for memory, listed in options:
        assert re.findall(r"`(\w+)`", listed) == memory_options(memory)
    (section,) = re.findall(r"^## Memories$(.*?)^## ", README, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert named == [memory for memory, _ in options] and 7 <= len(named) and set(named) <= MEMORIES.keys()


def test_one_memory_is_recommended_and_the_default_everywhere() -> None:
    for page in (README, MEMORIES_PAGE):
        assert re.findall(r"^Begin with `(\w+)`, the default", page, flags=re.MULTILINE) == [DEFAULT_MEMORY]
    assert MemoryActorCriticPolicy.default_memory == Recipe().memory == DEFAULT_MEMORY


def test_every_named_policy_exists() -> None:
    named = re.findall(r"\b((?:Mlp|Cnn|MultiInput)[A-Z]\w+Policy)\b", README + LIBRARY)
    assert len(named) > 2 and set(named) <= POLICY_ALIASES.keys()


def test_every_algorithm_is_named() -> None:
    """An algorithm that was added need not be."""
    (names,) = re.findall(r"^- `--algo` .*?: (.*?)\. The last four", COMMANDS, flags=re.MULTILINE | re.DOTALL)
    listed = re.findall(r"`([\w-]+)`", names)
    assert len(listed) == 5 and listed[0] == OURS and set(listed[1:]) <= set(BASELINES)


def typed(page: str) -> list[str]:
    """Every command of ours on a page: lines of blocks of shell, and what stands between backticks."""
    lines = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in joined(block).splitlines()]
    commands = [line[line.index("python scripts/") :] for line in lines if "python scripts/" in line]
    return commands + re.findall(r"`(python scripts/[^`]+)`", page)


def joined(block: str) -> str:
    return block.replace("\\\n", " ")


WITH_COMMANDS = [page for page in PAGES if typed(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_every_command_can_be_typed(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its script takes every option and value; names in capitals stand for what a reader puts in their place."""
    load = functools.cache(lambda script: load_script(Path(script).stem, monkeypatch))
    for command in typed(page.read_text(encoding="utf-8")):
        _, script, *arguments = shlex.split(command, comments=True)
        assert (ROOT / script).exists(), command
        if any(argument.isupper() or argument.startswith("RUN") for argument in arguments) or not arguments:
            continue
        monkeypatch.setattr("sys.argv", [script, *(argument.replace("$seed", "0") for argument in arguments)])
        try:
            load(script).parse_arguments()
        except SystemExit:
            pytest.fail(f"{script} refuses: {command}")


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    for long, short in (("100_000, progress_bar=True", "512"), ("range(1000)", "range(3)")):
        assert long in code
        code = code.replace(long, short)
    exec(code, {})
    assert (tmp_path / "agent.zip").exists()
