"""A run in training: the interface of its learner, online or offline, and its checkpoints."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, ClassVar

from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.evaluation.evaluate import Evaluation
from rl_larnn.agents.runs import checkpoint
from rl_larnn.agents.runs.results import Progress, Result
from rl_larnn.agents.settings.config import Settings
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json

if TYPE_CHECKING:
    from rl_larnn.agents.training.loop import Loop


class Learner(ABC):
    """Trains the agent of a run, online or offline.

    :cvar unit: the unit of its progress: ``steps`` of the environment, or ``updates``
    :cvar clock: the key of the progress in the log
    :cvar evaluations: default number of periodic evaluations
    :cvar selects_best: whether the best checkpoints are kept, and the result is selected among them
    :ivar model: the model in training
    :ivar env: its environments, with their normalisation
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
        """Units done."""

    @property
    @abstractmethod
    def total(self) -> int:
        """Units of the whole run."""

    @abstractmethod
    def learn(self, loop: Loop) -> None:
        """Train up to the total or until ``loop.stopped``; between updates, let the loop evaluate and save.

        :raises NonFiniteError: for a number that is not finite
        """

    def check(self) -> None:
        """Called before each evaluation and checkpoint; :raises NonFiniteError: if training has diverged."""
        return

    def cut_off(self) -> bool:
        """Drop an unfinished rollout after an interruption.

        :return: whether the model is in a state to be saved
        """
        return False

    @abstractmethod
    def save(self, folder: Path) -> dict[str, Any]:
        """Save its state in a checkpoint: return what is plain data, and write the rest, except for the model."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any], folder: Path) -> None:
        """The inverse of :meth:`save`."""

    def prepare_log(self) -> None:
        """Called once after :meth:`restore`, when the model has its logger."""
        return

    @abstractmethod
    def evaluation_seed(self) -> int:
        """The seed of the environments of an evaluation now."""

    def evaluation_records(self, mean_return: float) -> dict[str, float]:
        """Further values to log for an evaluation."""
        return {}

    @abstractmethod
    def result(self, evaluation: Evaluation, progress: Progress, **common: Any) -> Result:
        """The result of the run.

        :param evaluation: the final evaluation
        :param common: the fields of :class:`rl_larnn.agents.runs.results.Result`
        """


@dataclass(frozen=True)
class RunSpec:
    """The settings of a run, online or offline, and how to make its learner.

    :param run: the settings of the agent and the environment
    :param settings: ``Settings`` or ``OfflineSettings``: what ``config.json`` holds
    :param title: the parent of its run folder: the environment or dataset
    :param name: the start of the name of its run folder
    :param threshold: mean return that counts as solved, or None
    :param new: makes the learner of a new run
    :param load: makes the learner from the folder of a checkpoint, before :meth:`Learner.restore`
    :param warnings: to show before training, one line each
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
    """A run in training, with its run folder."""

    folder: Path
    settings: Settings
    learner: Learner
    progress: Progress


@contextmanager
def closed_on_error(env: VecEnv) -> Iterator[VecEnv]:
    """Close environments if making the learner fails."""
    try:
        yield env
    except BaseException:
        env.close()
        raise


def save_checkpoint(session: Session) -> Path:
    """Save a checkpoint in place of the last."""
    learner = session.learner
    state: dict[str, Any] = {"progress": session.progress.to_json(), "generators": checkpoint.save_generators()}

    def write(folder: Path) -> None:
        checkpoint.save_model(learner.model, folder)
        state.update({learner.unit: learner.done, **learner.save(folder)})
        (folder / checkpoint.STATE).write_text(json.dumps(state), encoding="utf-8")

    return checkpoint.replace_checkpoint(session.folder, write)


def load_checkpoint(folder: Path, spec: RunSpec) -> Session:
    """The run at its last checkpoint, with new episodes.

    :raises UserError: if the checkpoint is missing, truncated or foreign
    """
    source = checkpoint.find_checkpoint(folder)
    state = read_json(source / checkpoint.STATE, "the state of a run")
    learner = spec.load(source)
    try:
        learner.restore(state, source)
        # Last, since loading a model seeds the generators.
        checkpoint.restore_generators(state["generators"])
        return Session(folder, spec.run, learner, Progress.from_json(state["progress"]))
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
        learner.env.close()
        if isinstance(error, UserError):
            raise
        fault = f"expected the state of a run, got a foreign file ({one_line(error)})"
        raise UserError(f"cannot read {source / checkpoint.STATE}: {fault}") from error
