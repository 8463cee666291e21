"""What a suite is, the suites that come with the library, and suites of one's own in a TOML file.

```toml
name = "mine"

[[task]]
id = "CartPole-POMDP"
n_timesteps = 100_000
settings = { n_epochs = 10 }      # over the recipe; optional
env_kwargs = { corridor = 20 }    # optional
```
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from rl_larnn.agents.suites.tasks import EnvironmentTask, Task
from rl_larnn.envs import resolve_id
from rl_larnn.errors import UserError, unknown_name

AnyTask = TypeVar("AnyTask", bound=Task)


@dataclass(frozen=True)
class Suite(Generic[AnyTask]):
    """Tasks of one kind, under a name."""

    name: str
    tasks: tuple[AnyTask, ...]

    def only(self, texts: Sequence[str] | None) -> Suite[AnyTask]:
        """The suite without the tasks whose id holds none of these texts.

        :param texts: ``None`` for all tasks
        :raises UserError: if no task is left
        """
        chosen = tuple(task for task in self.tasks if any(text in task.id for text in texts or [""]))
        if not chosen:
            raise UserError(
                f"no task of the suite {self.name} is called {' or '.join(texts or [])}; there are "
                f"{', '.join(task.id for task in self.tasks)}"
            )
        return replace(self, tasks=chosen)


def _suite(name: str, **n_timesteps: int) -> Suite:
    return Suite(
        name, tuple(EnvironmentTask(f"{task.replace('_', '-')}-v0", steps) for task, steps in n_timesteps.items())
    )


#: Memories of one step to some hundred, each task learned in a minute or two by one agent on one core.
QUICK = _suite(
    "quick",
    CartPole_POMDP=100_000,
    Pendulum_POMDP=100_000,
    MountainCarContinuous_POMDP=100_000,
    CartPole_Flicker=100_000,
    CartPole_StopAndResume=100_000,
    TMazePassive_10=50_000,
    TMazePassive_50=150_000,
    RepeatFirstEasy=50_000,
    RepeatPreviousEasy=100_000,
    Autoencode_8=100_000,
    CountRecallEasy=100_000,
)

#: Tasks with a score to reach (docs/results/targets), each for as many steps as its recipe takes.
TARGETS = _suite(
    "targets",
    RepeatPreviousMedium=1_000_000,
    CountRecallEasy=1_000_000,
    RepeatFirstHard=200_000,
    RepeatFirstEasy=100_000,
    RepeatPreviousEasy=100_000,
    Autoencode_8=100_000,
    MountainCarContinuous_POMDP=300_000,
    Pendulum_POMDP=100_000,
    CartPole_POMDP=100_000,
    MiniGridMemory_S9=300_000,
)

#: A night on two cores for one memory and three seeds: longer memories and larger tasks.
STANDARD = _suite(
    "standard",
    CartPole_POMDP=100_000,
    Pendulum_POMDP=100_000,
    MountainCarContinuous_POMDP=300_000,
    LunarLander_POMDP=1_000_000,
    CartPole_Flicker=500_000,
    CartPole_StopAndResume=500_000,
    TMazePassive_50=1_000_000,
    TMazePassive_250=2_000_000,
    TMazeActive_50=1_000_000,
    RepeatFirstEasy=1_000_000,
    RepeatFirstHard=2_000_000,
    RepeatPreviousEasy=1_000_000,
    RepeatPreviousMedium=5_000_000,
    Autoencode_13=2_000_000,
    AutoencodeEasy=5_000_000,
    CountRecallEasy=3_000_000,
    HigherLowerEasy=1_000_000,
    MiniGridMemory_S11=2_000_000,
    Hopper_P=1_000_000,
    HalfCheetah_V=1_000_000,
)

SUITES: dict[str, Suite] = {suite.name: suite for suite in (QUICK, TARGETS, STANDARD)}


def find_suite(name: str) -> Suite:
    """The suite of this name, or the one in this TOML file.

    :raises UserError: if there is neither, or the file is not a suite
    """
    return SUITES[name] if name in SUITES else _read_suite(name)


def _read_suite(name: str) -> Suite:
    if not name.endswith(".toml"):
        raise unknown_name("suite", name, [*SUITES, "a path to a .toml file"])
    path = Path(name)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the suite {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the suite {path}: expected TOML, got {error}") from error
    tasks = data.get("task")
    if not isinstance(tasks, list) or not tasks:
        raise UserError(f"the suite {path} expected at least one [[task]], got {sorted(data) or 'nothing'}")
    found = tuple(_task(path, item) for item in tasks)
    ids = [task.id for task in found]
    if len(set(ids)) < len(ids):  # results are kept by id
        raise UserError(
            f"the suite {path} expected each task once, got {', '.join(ids)}; put variants into other suites"
        )
    return Suite(str(data.get("name", path.stem)), found)


def _task(path: Path, data: Mapping[str, Any]) -> EnvironmentTask:
    known = EnvironmentTask.__dataclass_fields__
    for key in data:
        if key not in known:
            raise unknown_name(f"key of a task in {path}:", key, known)
    steps = data.get("n_timesteps")
    if not isinstance(data.get("id"), str) or type(steps) is not int or steps < 1:
        raise UserError(f"a task in {path} expected an id (text) and n_timesteps (at least 1), got {dict(data)}")
    for key in ("settings", "env_kwargs"):
        if not isinstance(data.get(key, {}), Mapping):
            raise UserError(f"a task in {path} expected a table of {key}, such as {{ a = 1 }}, got {data[key]!r}")
    try:
        return EnvironmentTask(**{**data, "id": resolve_id(data["id"])})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
