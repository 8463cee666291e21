"""The two kinds of task that methods are compared on: an environment and a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rl_larnn.agents.behaviours import CollectConfig
from rl_larnn.agents.offline.config import OfflineConfig, load_offline_settings
from rl_larnn.agents.runs.folder import CONFIG
from rl_larnn.agents.runs.logs import CLOCK as STEPS
from rl_larnn.agents.runs.logs import steps_logged
from rl_larnn.agents.runs.results import score
from rl_larnn.agents.settings.overrides import settings_taken_by
from rl_larnn.agents.suites.methods import BASELINES, CLONING, CONTROL, methods
from rl_larnn.agents.suites.records import DatasetRecord, RunRecord
from rl_larnn.agents.training import TrainConfig, resume, resume_offline, train, train_offline
from rl_larnn.agents.training.offline import CLOCK as UPDATES
from rl_larnn.errors import UserError


class Task(ABC):
    """What a run trains on. It is sent to other processes, so it holds plain data."""

    #: Its name in tables.
    id: str
    #: The kind of its records.
    record: ClassVar[type[RunRecord]]
    #: What its length counts, as a column of ``progress.csv``.
    clock: ClassVar[str]
    #: Methods that cannot be compared on it, and those that are compared only if they are named.
    impossible: ClassVar[Collection[str]]
    not_by_default: ClassVar[Collection[str]]

    @property
    @abstractmethod
    def length(self) -> int:
        """Steps or updates of a run."""

    @property
    def definition(self) -> dict[str, Any]:
        """What must not change under the results of a suite, as plain data."""
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def methods(cls, by_default: bool = False) -> list[str]:
        """The methods that can be compared on tasks of this kind; those that are compared if none are named."""
        left_out = {*cls.impossible, *(cls.not_by_default if by_default else ())}
        return [name for name in methods() if name not in left_out]

    @abstractmethod
    def start(self, method: str, seed: int, run: Path) -> None:
        """Train in this new run folder."""

    @abstractmethod
    def resume(self, run: Path) -> None:
        """Continue from the checkpoint in a run folder."""

    def check(self, run: Path) -> None:
        """:raises UserError: if a run folder, of an earlier revision without ``suite.json``, has another length."""
        return

    @abstractmethod
    def measures(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a record that a finished run's ``result.json`` gives."""

    def done(self, run: Path) -> int:
        """Steps or updates that a run folder has logged."""
        return steps_logged(run, self.clock)


@dataclass(frozen=True)
class EnvironmentTask(Task):
    """An environment to learn in.

    :param id: its full id
    :param n_timesteps: environment steps of a run
    :param settings: over the recipe, the same for every method
    :param env_kwargs: arguments of the environment
    """

    id: str
    n_timesteps: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)

    record, clock = RunRecord, STEPS
    impossible, not_by_default = CLONING, ("elman", "transformer")

    @property
    def length(self) -> int:
        return self.n_timesteps

    def start(self, method: str, seed: int, run: Path) -> None:
        train(
            TrainConfig(
                env=self.id,
                memory=method,
                n_timesteps=self.n_timesteps,
                seed=seed,
                device="cpu",
                run_dir=run,
                settings=settings_taken_by(method, self.settings),
                env_kwargs=self.env_kwargs,
                eval_episodes=20,  # the score comes from the evaluations during training
            )
        )

    def resume(self, run: Path) -> None:
        resume(run)

    def measures(self, result: Mapping[str, Any]) -> dict[str, Any]:
        same = {key: result[key] for key in ("mean_return", "steps", "steps_per_s")}
        return {"score": score(result["evaluations"]), **same}


@dataclass(frozen=True)
class DatasetTask(Task):
    """A dataset to learn from.

    :param id: in Minari's store
    :param kind: one of :data:`rl_larnn.agents.suites.definitions.KINDS`
    :param updates: of a run
    :param collection: how it is collected, perhaps together with its masked or plain counterpart
    """

    id: str
    kind: str
    updates: int
    collection: CollectConfig

    record, clock = DatasetRecord, UPDATES
    impossible, not_by_default = BASELINES, ("elman",)

    @property
    def length(self) -> int:
        return self.updates

    @property
    def definition(self) -> dict[str, Any]:
        return {"id": self.id, "kind": self.kind, "updates": self.updates}

    def start(self, method: str, seed: int, run: Path) -> None:
        options = {"memory": CONTROL, **CLONING[method]} if method in CLONING else {"memory": method}
        train_offline(
            OfflineConfig(
                self.id,
                **options,
                updates=self.updates,
                seed=seed,
                device="cpu",
                run_dir=run,
                eval_freq=0,  # only the last agent counts
                eval_episodes=50,
            )
        )

    def resume(self, run: Path) -> None:
        resume_offline(run)

    def check(self, run: Path) -> None:
        if (run / CONFIG).exists() and (updates := load_offline_settings(run).plan.updates) != self.updates:
            raise UserError(f"{run} has {updates} updates, not {self.updates}; choose another --out")

    def measures(self, result: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "score": result["normalized_score"],
            "mean_return": result["mean_return"],
            "reset_return": result["mean_return_reset"],
            "steps": result["updates"],
            "steps_per_s": result["updates_per_s"],
        }
