"""The datasets that offline learners are compared on, and how each is made. A new one is a line in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rl_larnn.agents.behaviours import CollectConfig, collect_datasets
from rl_larnn.agents.behaviours.config import find_collection_env
from rl_larnn.agents.behaviours.storing import collection_settings
from rl_larnn.agents.reporting.reporter import SILENT, TerminalReporter
from rl_larnn.envs.datasets import local_ids, read_record
from rl_larnn.errors import UserError, unknown_name

#: What a dataset is for: everything is seen, velocities are hidden, or one thing has to be recalled.
KINDS = ("plain", "masked", "recall")


@dataclass(frozen=True)
class OfflineSet:
    """One dataset.

    :param id: in Minari's store
    :param kind: one of :data:`KINDS`
    :param updates: of each learner
    :param config: what collects it, perhaps with its twin
    """

    id: str
    kind: str
    updates: int
    config: CollectConfig


def _twins(env: str, steps: int, updates: int, n_timesteps: int | None = None) -> list[OfflineSet]:
    """Three levels of a masked task and of the task with everything visible."""
    found = []
    for level in ("medium-replay", "medium", "expert"):
        amount, name = (None, level) if level == "medium-replay" else (steps, f"{level}-{steps // 1000}k")
        config = CollectConfig(env, level, steps=amount, name=name, n_timesteps=n_timesteps)
        *plain, masked = find_collection_env(config).dataset_ids(config).values()
        found += [OfflineSet(name, "plain", updates, config) for name in plain]
        found.append(OfflineSet(masked, "masked", updates, config))
    return found


def _recall(env: str, updates: int, episodes: int = 1000, **env_kwargs: int) -> OfflineSet:
    """Half of the episodes are played perfectly, half at random."""
    config = CollectConfig(env, "mixed", episodes=episodes, env_kwargs=env_kwargs)
    (name,) = find_collection_env(config).dataset_ids(config).values()
    return OfflineSet(name, "recall", updates, config)


def _quick() -> list[OfflineSet]:
    return [
        *_twins("CartPole-POMDP", 50_000, 2000),
        *_twins("Pendulum-POMDP", 50_000, 2000),
        _recall("TMazePassive-50", 3000, corridor=90),
    ]


def _standard() -> list[OfflineSet]:
    return [
        *_quick(),
        *_twins("LunarLanderContinuous-POMDP", 100_000, 2000, n_timesteps=200_000),
        *_twins("Hopper-P", 100_000, 2000, n_timesteps=200_000),
        *_twins("HalfCheetah-P", 100_000, 2000, n_timesteps=200_000),
        _recall("TMazePassive-50", 3000, corridor=480),
        _recall("RepeatPreviousEasy", 3000),
    ]


#: Each suite as a function, since tasks of extras are only made when they are asked for.
OFFLINE_SUITES: dict[str, Callable[[], list[OfflineSet]]] = {"quick": _quick, "standard": _standard}


def offline_suite(name: str, only: Sequence[str] | None = None) -> list[OfflineSet]:
    """The datasets of a suite.

    :param only: leave out those whose id holds none of these
    :raises UserError: for an unknown name, or an extra that is not installed; or if nothing is left
    """
    if name not in OFFLINE_SUITES:
        raise unknown_name("offline suite", name, OFFLINE_SUITES)
    sets = OFFLINE_SUITES[name]()
    chosen = [one for one in sets if any(text in one.id for text in only or [""])]
    if not chosen:
        raise UserError(f"no dataset of the suite {name} is called {' or '.join(only or [])}; there are "
                        f"{', '.join(one.id for one in sets)}")  # fmt: skip
    return chosen


def collect_missing(sets: Sequence[OfflineSet], tell: Callable[[str], None], progress_bar: bool = False) -> None:
    """Collect what is not in Minari's store; behaviours are trained once and kept in ``runs/``.

    :param tell: told what is collected
    :raises UserError: if something cannot be collected, or was collected in another way
    """
    for one in sets:
        if one.id in local_ids():
            _refuse_another(one)
        else:
            tell(f"collecting {one.id}")
            collect_datasets(one.config, TerminalReporter() if progress_bar else SILENT)


def _refuse_another(one: OfflineSet) -> None:
    """Scores on data that were collected in another way could not be compared."""
    found, wanted = read_record(one.id).get("asked", {}), collection_settings(one.config)
    if other := [f"{key}={found.get(key)}" for key in wanted if found.get(key) != wanted[key]]:
        expected = ", ".join(f"{key}={wanted[key]}" for key in wanted if found.get(key) != wanted[key])
        raise UserError(
            f"the dataset {one.id} was collected with {', '.join(other)}, the suite wants {expected}: remove it with "
            f"minari delete {one.id}, or use another store (MINARI_DATASETS_PATH)"
        )
