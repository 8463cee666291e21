"""A run in training: the protocol of what learns in it, online or from data, and its checkpoints."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, ClassVar

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.runs.checkpoint import (
    STATE,
    find_checkpoint,
    replace_checkpoint,
    restore_generators,
    save_generators,
    save_model,
)
from rl_larnn.agents.runs.results import Progress, Result
from rl_larnn.agents.settings.config import Settings
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json

if TYPE_CHECKING:
    from rl_larnn.agents.training.loop import Loop


class Learner(ABC):
    """What learns, online or from data.

    :cvar unit: what is counted: ``steps`` of the environment, or ``updates``
    :cvar clock: the key under which the log says how many of them are done
    :cvar evaluations: how many periodic evaluations a run has by default
    :cvar selects_best: whether the best evaluated agents are kept, and the result is chosen among them
    :ivar model: whose policy learns
    :ivar env: whose normalisation the agent sees
    """

    unit: ClassVar[str]
    clock: ClassVar[str]
    evaluations: ClassVar[int]
    selects_best: ClassVar[bool]
    model: OnPolicyAlgorithm
    env: VecEnv

    @property
    @abstractmethod
    def done(self) -> int:
        """How much it has learned from, in units."""

    @property
    @abstractmethod
    def total(self) -> int:
        """How much it is to learn from."""

    @abstractmethod
    def learn(self, loop: Loop) -> None:
        """Learn until all is done or ``loop.stopped``; wherever nothing is half done, let the loop evaluate and save.

        :raises NonFiniteError: if something is not a finite number; the last checkpoint is good
        """

    def check(self) -> None:
        """Called before the agent is evaluated or saved.

        :raises NonFiniteError: if it has diverged
        """
        return

    def cut_off(self) -> bool:
        """After an interruption: drop what is half done.

        :return: whether the model is fit to be saved
        """
        return False

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint, beside the model."""

    def save_files(self, folder: Path) -> None:
        """Write what is not plain data into the folder of a checkpoint."""
        return

    @abstractmethod
    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """The inverse of :meth:`state` and :meth:`save_files`."""

    def prepare_log(self) -> None:
        """Called once after :meth:`restore`, when the model has its logger."""
        return

    @abstractmethod
    def evaluation_seed(self) -> int:
        """The seed of the environments of an evaluation at this moment."""

    def evaluation_records(self, mean_return: float) -> dict[str, float]:
        """What else is logged of an evaluation."""
        return {}

    @abstractmethod
    def result(self, evaluation: Evaluation, progress: Progress, **common: Any) -> Result:
        """The result of the run.

        :param evaluation: of the final agent
        :param common: the fields of :class:`rl_larnn.agents.runs.results.Result`
        """


@dataclass(frozen=True)
class RunSpec:
    """A run as it was asked for, online or from data.

    :param run: what the agent is and where it acts
    :param settings: all settings, with ``to_json``: what ``config.json`` holds
    :param title: the folder of its run folder: the environment, or the dataset
    :param name: the beginning of the name of its run folder
    :param threshold: mean return that counts as solved, or None
    :param new: makes the learner of a new run
    :param load: makes the learner from the folder of a checkpoint, to be restored
    :param warnings: to be told before training, one line each
    """

    run: Settings
    settings: Any
    title: str
    name: str
    threshold: float | None
    new: Callable[[], Learner]
    load: Callable[[Path], Learner]
    warnings: Sequence[str] = ()


@dataclass
class Session:
    """A run while it trains. ``folder`` is its run folder."""

    folder: Path
    settings: Settings
    learner: Learner
    progress: Progress


def save_checkpoint(session: Session) -> Path:
    """Replace the checkpoint of the run by one of this moment."""
    learner = session.learner
    state = {
        learner.unit: learner.done,
        "progress": session.progress.to_json(),
        "generators": save_generators(),
        **learner.state(),
    }

    def write(folder: Path) -> None:
        save_model(learner.model, folder)
        learner.save_files(folder)
        (folder / STATE).write_text(json.dumps(state), encoding="utf-8")

    return replace_checkpoint(session.folder, write)


def load_checkpoint(folder: Path, spec: RunSpec) -> Session:
    """The run as it was at its last checkpoint; its environments begin fresh episodes.

    :raises UserError: if the checkpoint is missing, truncated or foreign
    """
    checkpoint = find_checkpoint(folder)
    state = read_json(checkpoint / STATE, "the state of a run")
    learner = spec.load(checkpoint)
    try:
        learner.restore(state, checkpoint)
        # Last, since loading a model seeds the generators as at the beginning of the run.
        restore_generators(state["generators"])
        return Session(folder, spec.run, learner, Progress.from_json(state["progress"]))
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
        learner.env.close()
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"cannot read {checkpoint / STATE}: expected the state of a run, got a foreign file ({one_line(error)})"
        ) from error
