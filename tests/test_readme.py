"""The README and the pages under docs/ keep to what the tables of the code say."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import pytest

from rl_larnn.envs import TASKS
from rl_larnn.memories import MEMORIES, memory_options
from rl_larnn.policies import POLICY_ALIASES
from tests.script_cases import caller, load_script

ROOT = Path(__file__).parents[1]
README, TASKS_PAGE = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/tasks.md"))


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


def test_the_readme_lists_every_memory_with_its_options() -> None:
    (section,) = re.findall(r"^## Memories$(.*?)^## ", README, flags=re.MULTILINE | re.DOTALL)
    for memory in MEMORIES:
        assert re.findall(r"`(\w+)`", cells(section, memory)[-1]) == memory_options(memory)


def test_every_named_policy_exists() -> None:
    named = re.findall(r"\b((?:Mlp|Cnn|MultiInput)[A-Z]\w+Policy)\b", README)
    assert named and set(named) <= POLICY_ALIASES.keys()


def test_every_named_file_exists() -> None:
    named = set(re.findall(r"(?:rl_larnn|agents|envs|scripts|docs)/[\w/]+\.\w+", README))
    assert len(named) > 5 and all((ROOT / name).exists() for name in named)


def typed(page: str) -> list[str]:
    """Every command of ours on a page: lines of blocks of shell, and what stands between backticks."""
    lines = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in joined(block).splitlines()]
    commands = [line[line.index("python scripts/") :] for line in lines if "python scripts/" in line]
    return commands + re.findall(r"`(python scripts/[^`]+)`", page)


def joined(block: str) -> str:
    return block.replace("\\\n", " ")


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
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


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = python_blocks()[0]
    for long, short in (("100_000, progress_bar=True", "512"), ("range(1000)", "range(3)")):
        assert long in code
        code = code.replace(long, short)
    exec(code, {})
    assert (tmp_path / "agent.zip").exists()


def test_a_memory_of_ones_own_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = (block for block in python_blocks() if block.startswith("# my_memory.py"))
    (tmp_path / "my_memory.py").write_text(code)
    train, evaluate = (caller(name, monkeypatch, capsys) for name in ("train_agent", "evaluate_agent"))
    chosen = ["--env", "CartPole-POMDP", "--memory", "my_memory:RunningAverage", "-n", "256", "--eval-episodes", "1"]
    status, _, err = train(*chosen, "--run-dir", "run", "--device", "cpu", "--no-progress")
    assert (status, err) == (0, "")
    assert evaluate("run", "--episodes", "1")[0] == 0
