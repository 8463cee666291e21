"""A run in training, and its checkpoints."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

from rl_larnn.agents.runs.checkpoint import STATE, find_checkpoint, replace_checkpoint
from rl_larnn.agents.runs.progress import Progress
from rl_larnn.agents.runs.randomness import restore_generators, save_generators
from rl_larnn.agents.runs.state import save_model
from rl_larnn.agents.settings.config import Settings
from rl_larnn.agents.training.learner import Learner, RunSpec
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json


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
