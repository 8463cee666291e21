"""What a suite is, the suites that come with the library, and suites of one's own in a TOML file (docs/suites.md)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from rl_larnn.agents.behaviours import CollectConfig, collect_datasets
from rl_larnn.agents.behaviours.config import find_collection_env
from rl_larnn.agents.behaviours.storing import collection_settings
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.suites.tasks import DatasetTask, EnvironmentTask, Task
from rl_larnn.envs import resolve_id
from rl_larnn.envs.datasets import local_ids, read_record
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


#: Per suite its tasks, each with the environment steps of a run, in thousands.
_TABLES = {
    # Memories of one step to some hundred, each task learned in a minute or two by one agent on one core.
    "quick": """
        CartPole-POMDP 100      Pendulum-POMDP 100          MountainCarContinuous-POMDP 100
        CartPole-Flicker 100    CartPole-StopAndResume 100  TMazePassive-10 50
        TMazePassive-50 150     RepeatFirstEasy 50          RepeatPreviousEasy 100
        Autoencode-8 100        CountRecallEasy 100
    """,
    # Tasks with a score to reach (docs/results/targets), each for as many steps as its recipe takes.
    "targets": """
        RepeatPreviousMedium 1000        CountRecallEasy 1000  RepeatFirstHard 200
        RepeatFirstEasy 100              RepeatPreviousEasy 100  Autoencode-8 100
        MountainCarContinuous-POMDP 300  Pendulum-POMDP 100    CartPole-POMDP 100
        MiniGridMemory-S9 300
    """,
    # A night on two cores for one memory and three seeds: longer memories and larger tasks.
    "standard": """
        CartPole-POMDP 100       Pendulum-POMDP 100           MountainCarContinuous-POMDP 300
        LunarLander-POMDP 1000   CartPole-Flicker 500         CartPole-StopAndResume 500
        TMazePassive-50 1000     TMazePassive-250 2000        TMazeActive-50 1000
        RepeatFirstEasy 1000     RepeatFirstHard 2000         RepeatPreviousEasy 1000
        RepeatPreviousMedium 5000  Autoencode-13 2000         AutoencodeEasy 5000
        CountRecallEasy 3000     HigherLowerEasy 1000         MiniGridMemory-S11 2000
        Hopper-P 1000            HalfCheetah-V 1000
    """,
}


def _suite(name: str, table: str) -> Suite[EnvironmentTask]:
    words = table.split()
    pairs = zip(words[::2], words[1::2], strict=True)
    return Suite(name, tuple(EnvironmentTask(f"{task}-v0", 1000 * int(steps)) for task, steps in pairs))


SUITES = {name: _suite(name, table) for name, table in _TABLES.items()}


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


#: What datasets are for.
KINDS = {
    "plain": "everything is seen",
    "masked": "velocities are hidden from the learner, not from the behaviour policy",
    "recall": "half of the episodes are random play; one thing has to be recalled at the end",
}


def _masked(env: str, steps: int, n_timesteps: int | None = None) -> list[DatasetTask]:
    """Three levels of a masked task and of the task with everything visible."""
    found = []
    for level in ("medium-replay", "medium", "expert"):
        amount, name = (None, level) if level == "medium-replay" else (steps, f"{level}-{steps // 1000}k")
        config = CollectConfig(env, level, steps=amount, name=name, n_timesteps=n_timesteps)
        *plain, masked = find_collection_env(config).dataset_ids(config).values()
        found += [DatasetTask(name, "plain", 2000, config) for name in plain]
        found.append(DatasetTask(masked, "masked", 2000, config))
    return found


def _recall(env: str, **env_kwargs: int) -> DatasetTask:
    """Half of the episodes are played perfectly, half at random."""
    config = CollectConfig(env, "mixed", episodes=1000, env_kwargs=env_kwargs)
    (name,) = find_collection_env(config).dataset_ids(config).values()
    return DatasetTask(name, "recall", 3000, config)


def _quick() -> list[DatasetTask]:
    plain_and_masked = [*_masked("CartPole-POMDP", 50_000), *_masked("Pendulum-POMDP", 50_000)]
    return [*plain_and_masked, _recall("TMazePassive-50", corridor=90)]


def _standard() -> list[DatasetTask]:
    larger = ("LunarLanderContinuous-POMDP", "Hopper-P", "HalfCheetah-P")
    plain_and_masked = [task for env in larger for task in _masked(env, 100_000, n_timesteps=200_000)]
    return [*_quick(), *plain_and_masked, _recall("TMazePassive-50", corridor=480), _recall("RepeatPreviousEasy")]


#: Each suite as a function, since tasks of extras are only made when they are asked for.
DATASET_SUITES: dict[str, Callable[[], list[DatasetTask]]] = {"quick": _quick, "standard": _standard}


def find_dataset_suite(name: str) -> Suite[DatasetTask]:
    """The suite of this name.

    :raises UserError: for an unknown name, or an extra that is not installed
    """
    if name not in DATASET_SUITES:
        raise unknown_name("offline suite", name, DATASET_SUITES)
    return Suite(name, tuple(DATASET_SUITES[name]()))


def collect_missing(suite: Suite[DatasetTask], reporter: Reporter = SILENT) -> None:
    """Collect what is not in Minari's store; behaviour policies are trained once and kept in ``runs/``.

    :raises UserError: if something cannot be collected, or was collected in another way
    """
    for task in suite.tasks:
        if task.id not in local_ids():
            reporter.message(f"collecting {task.id}")
            collect_datasets(task.collection, reporter)
            continue
        found, wanted = read_record(task.id).get("asked", {}), collection_settings(task.collection)
        keys = [key for key in wanted if found.get(key) != wanted[key]]
        other, expected = (", ".join(f"{key}={values.get(key)}" for key in keys) for values in (found, wanted))
        if keys:
            raise UserError(
                f"the dataset {task.id} was collected with {other}, the suite wants {expected}: remove it with "
                f"minari delete {task.id}, or use another store (MINARI_DATASETS_PATH)"
            )
