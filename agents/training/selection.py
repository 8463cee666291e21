"""The best checkpoints of a run, each in a folder ``best/STEPS``, and the final selection among them.

Evaluations during training are short, so the best of twenty was partly lucky. Hence the best checkpoints are evaluated
again at the end, on more episodes, the same for all.
"""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.runs.checkpoint import save_model
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.settings.environments import derived_seed, load_normalization, make_environments
from rl_larnn.agents.settings.models import load_model
from rl_larnn.agents.training.session import Session
from rl_larnn.files import read_json, replace_folder, replacing

#: Checkpoints that are kept for the final selection.
KEPT = 4
#: Episodes of each in the final selection, all in parallel.
EPISODES = 50

_FOLDER, _RECORD = "best", "trial.json"


@dataclass(frozen=True, order=True)
class TopCheckpoint:
    """A checkpoint that is kept; the greater one is the better, or the later of equals.

    :param mean_return: in its periodic evaluation
    :param steps: environment steps before it
    """

    mean_return: float
    steps: int
    folder: Path = field(compare=False)


def top_checkpoints(run: Path) -> list[TopCheckpoint]:
    """The kept checkpoints, the best first.

    :raises UserError: for a damaged record
    """
    found = []
    for path in (run / _FOLDER).glob(f"*/{_RECORD}"):
        if path.parent.name.isdigit():
            record = read_json(path, "the record of an evaluation")
            found.append(TopCheckpoint(record["mean_return"], int(record["steps"]), path.parent))
    return sorted(found, reverse=True)


def keep(session: Session, mean_return: float) -> None:
    """Keep the current agent if it is among the best, and delete the worst."""
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
        (worse.folder / _RECORD).unlink()  # first: a kill must not leave a record without its model
        shutil.rmtree(worse.folder)


def promote(checkpoint: TopCheckpoint, run: Path) -> None:
    """Make a checkpoint the agent of the run."""
    for name in (NORMALIZATION, MODEL):  # the model last: a run with a model counts as finished
        if (checkpoint.folder / name).exists():
            with replacing(run / name) as temporary:
                shutil.copyfile(checkpoint.folder / name, temporary)


def final_selection(session: Session) -> dict[TopCheckpoint, float]:
    """The mean return of each kept checkpoint, the best first, the later of equals.

    :raises UserError: if a checkpoint is damaged
    """
    kept, settings = top_checkpoints(session.folder), session.settings
    if len(kept) < 2:
        return {checkpoint: checkpoint.mean_return for checkpoint in kept}
    seed = derived_seed(settings.seed, session.learner.done, 3)
    means = {}
    with closing(make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)) as env:
        for checkpoint in kept:
            model = load_model(checkpoint.folder / MODEL, None, settings.device, settings.algorithm)
            env.seed(seed)
            normal = load_normalization(checkpoint.folder / NORMALIZATION, env, training=False)
            means[checkpoint] = evaluate(model, normal, EPISODES).mean
    ranked = sorted(kept, key=lambda checkpoint: (means[checkpoint], checkpoint.steps), reverse=True)
    return {checkpoint: means[checkpoint] for checkpoint in ranked}
