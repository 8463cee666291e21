"""The best checkpoints of a run, each in a folder ``best/STEPS``, and the final selection among them.

Evaluations during training are short, and whoever wins one of twenty was lucky as well as good. Hence the best
checkpoints play the same fresh episodes at the end, which tells them apart with much less noise.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.runs.checkpoint import save_model
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.settings.environments import derived_seed, load_normalization, make_environments
from rl_larnn.agents.settings.models import load_model
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


#: Episodes that each of them plays, all side by side.
EPISODES = 50


def final_selection(session: Session) -> dict[TopCheckpoint, float]:
    """The mean return of each of the best checkpoints, the best first, the later of equals; empty if none were kept.

    :raises UserError: if what was kept is damaged
    """
    kept, settings = top_checkpoints(session.folder), session.settings
    if len(kept) < 2:
        return {checkpoint: checkpoint.mean_return for checkpoint in kept}
    seed = derived_seed(settings.seed, session.learner.done, 3)
    env = make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)
    try:
        means = {}
        for checkpoint in kept:
            model = load_model(checkpoint.folder / MODEL, None, settings.device, settings.algorithm)
            env.seed(seed)
            normal = load_normalization(checkpoint.folder / NORMALIZATION, env, training=False)
            means[checkpoint] = evaluate(model, normal, EPISODES).mean
    finally:
        env.close()
    ranked = sorted(kept, key=lambda checkpoint: (means[checkpoint], checkpoint.steps), reverse=True)
    return {checkpoint: means[checkpoint] for checkpoint in ranked}
