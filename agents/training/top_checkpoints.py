"""The agents of a run that did best in their evaluations, each in a folder ``best/STEPS`` of the run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.state import save_model
from rl_larnn.agents.training.session import Session
from rl_larnn.files import read_json, replace_folder, replacing

#: So many are kept for the final selection (:mod:`rl_larnn.agents.training.selection`).
KEPT = 4

_FOLDER, _RECORD = "best", "trial.json"


@dataclass(frozen=True, order=True)
class TopCheckpoint:
    """A kept agent; the greater is the better, the later of equals.

    :param mean_return: in its evaluation
    :param steps: environment steps that it had learned from
    """

    mean_return: float
    steps: int
    folder: Path = field(compare=False)


def top_checkpoints(run: Path) -> list[TopCheckpoint]:
    """All that are kept, the best first.

    :raises UserError: for a record that is damaged
    """
    records = [path for path in (run / _FOLDER).glob(f"*/{_RECORD}") if path.parent.name.isdigit()]
    read = {path.parent: read_json(path, "the record of an evaluation") for path in records}
    found = [TopCheckpoint(record["mean_return"], int(record["steps"]), folder) for folder, record in read.items()]
    return sorted(found, reverse=True)


def keep(session: Session, mean_return: float) -> None:
    """Keep the present agent, unless enough others were better in their evaluations, and drop the worst."""
    steps = session.learner.done
    place = session.folder / _FOLDER
    others = [other for other in top_checkpoints(session.folder) if other.steps != steps]
    if sum(other > TopCheckpoint(mean_return, steps, place) for other in others) >= KEPT:
        return

    def write(folder: Path) -> None:
        save_model(session.learner.model, folder)
        (folder / _RECORD).write_text(json.dumps({"steps": steps, "mean_return": mean_return}), encoding="utf-8")

    place.mkdir(exist_ok=True)
    replace_folder(place, str(steps), write)
    for worse in top_checkpoints(session.folder)[KEPT:]:
        (worse.folder / _RECORD).unlink()  # first: a kill must not leave one without its model
        shutil.rmtree(worse.folder)


def promote(checkpoint: TopCheckpoint, run: Path) -> None:
    """Make it the agent of the run."""
    for name in (NORMALIZATION, MODEL):  # the model last: with it a run counts as finished
        if (checkpoint.folder / name).exists():
            with replacing(run / name) as temporary:
                shutil.copyfile(checkpoint.folder / name, temporary)
