"""The agents of a run that did best in their trials, each in a folder ``best/STEPS`` of the run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.state import Session, save_model
from rl_larnn.files import read_json, replace_folder, replacing

#: So many are kept for the play-off (:mod:`rl_larnn.agents.training.selection`).
KEPT = 4

_FOLDER, _RECORD = "best", "trial.json"


@dataclass(frozen=True, order=True)
class Candidate:
    """A kept agent; the greater is the better, the later of equals.

    :param mean_return: in its trial
    :param steps: environment steps that it had learned from
    """

    mean_return: float
    steps: int
    folder: Path = field(compare=False)


def candidates(run: Path) -> list[Candidate]:
    """All that are kept, the best first.

    :raises UserError: for a record that is damaged
    """
    records = [path for path in (run / _FOLDER).glob(f"*/{_RECORD}") if path.parent.name.isdigit()]
    read = {path.parent: read_json(path, "the record of a trial") for path in records}
    found = [Candidate(record["mean_return"], int(record["steps"]), folder) for folder, record in read.items()]
    return sorted(found, reverse=True)


def keep(session: Session, mean_return: float) -> None:
    """Keep the present agent, unless enough were better in their trials, and drop whom it outdoes."""
    steps = session.model.num_timesteps
    place = session.folder / _FOLDER
    others = [other for other in candidates(session.folder) if other.steps != steps]
    if sum(other > Candidate(mean_return, steps, place) for other in others) >= KEPT:
        return

    def write(folder: Path) -> None:
        save_model(session.model, folder)
        (folder / _RECORD).write_text(json.dumps({"steps": steps, "mean_return": mean_return}), encoding="utf-8")

    place.mkdir(exist_ok=True)
    replace_folder(place, str(steps), write)
    for outdone in candidates(session.folder)[KEPT:]:
        (outdone.folder / _RECORD).unlink()  # first: a kill must not leave a candidate without its model
        shutil.rmtree(outdone.folder)


def hand_out(candidate: Candidate, run: Path) -> None:
    """Make it the agent of the run."""
    for name in (NORMALIZATION, MODEL):  # the model last: with it a run counts as finished
        if (candidate.folder / name).exists():
            with replacing(run / name) as temporary:
                shutil.copyfile(candidate.folder / name, temporary)
