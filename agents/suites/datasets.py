"""The datasets that offline learners are compared on, and how each is made. A new one is a line in a table."""

from __future__ import annotations

from collections.abc import Callable

from rl_larnn.agents.behaviours import CollectConfig, collect_datasets
from rl_larnn.agents.behaviours.config import find_collection_env
from rl_larnn.agents.behaviours.storing import collection_settings
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.suites.definitions import Suite
from rl_larnn.agents.suites.tasks import DatasetTask
from rl_larnn.envs.datasets import local_ids, read_record
from rl_larnn.errors import UserError, unknown_name

#: What datasets are for.
KINDS = {
    "plain": "everything is seen",
    "masked": "velocities are hidden from the learner, not from the behaviour policy",
    "recall": "half of the episodes are random play; one thing has to be recalled at the end",
}


def _plain_and_masked(env: str, steps: int, updates: int, n_timesteps: int | None = None) -> list[DatasetTask]:
    """Three levels of a masked task and of the task with everything visible."""
    found = []
    for level in ("medium-replay", "medium", "expert"):
        amount, name = (None, level) if level == "medium-replay" else (steps, f"{level}-{steps // 1000}k")
        config = CollectConfig(env, level, steps=amount, name=name, n_timesteps=n_timesteps)
        *plain, masked = find_collection_env(config).dataset_ids(config).values()
        found += [DatasetTask(name, "plain", updates, config) for name in plain]
        found.append(DatasetTask(masked, "masked", updates, config))
    return found


def _recall(env: str, updates: int, episodes: int = 1000, **env_kwargs: int) -> DatasetTask:
    """Half of the episodes are played perfectly, half at random."""
    config = CollectConfig(env, "mixed", episodes=episodes, env_kwargs=env_kwargs)
    (name,) = find_collection_env(config).dataset_ids(config).values()
    return DatasetTask(name, "recall", updates, config)


def _quick() -> list[DatasetTask]:
    return [
        *_plain_and_masked("CartPole-POMDP", 50_000, 2000),
        *_plain_and_masked("Pendulum-POMDP", 50_000, 2000),
        _recall("TMazePassive-50", 3000, corridor=90),
    ]


def _standard() -> list[DatasetTask]:
    return [
        *_quick(),
        *_plain_and_masked("LunarLanderContinuous-POMDP", 100_000, 2000, n_timesteps=200_000),
        *_plain_and_masked("Hopper-P", 100_000, 2000, n_timesteps=200_000),
        *_plain_and_masked("HalfCheetah-P", 100_000, 2000, n_timesteps=200_000),
        _recall("TMazePassive-50", 3000, corridor=480),
        _recall("RepeatPreviousEasy", 3000),
    ]


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
