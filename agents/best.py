"""The best agent of a run so far. Training ends where it ends; what is handed out is the best that was on the way.

Policy gradients walk on after a task is solved, and may walk away from the solution again. Between rollouts, the
agent is tried on a few episodes of its own, with its likeliest actions; ``best/`` in the run folder holds whichever did
best, the later one of equals.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, sync_envs_normalization

from rl_larnn.agents.checkpoint import replace_folder
from rl_larnn.agents.environments import make_environments, normalized
from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.randomness import derived_seed
from rl_larnn.agents.runs import MODEL, NORMALIZATION, read_json, replacing
from rl_larnn.agents.snapshots import Session, save_model

#: Episodes of each trial, all side by side.
EPISODES = 10

_FOLDER, _RECORD = "best", "best.json"


class BestCallback(BaseCallback):
    """Tries the agent between rollouts and keeps the best.

    :param every_steps: environment steps between trials; 0 for none
    :param interrupted: whether training is about to stop
    """

    def __init__(self, session: Session, every_steps: int, interrupted: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.interrupted = interrupted
        self.session = session
        self.every_steps = every_steps
        record = read_record(session.folder)
        self.mean_return = -float("inf") if record is None else record["mean_return"]
        self._env: VecEnv | None = None
        # An agent that begins with the weights of a run may be at its best before the first step.
        begun = session.settings.init is not None and not session.model.num_timesteps
        tried = int(session.progress.trials[-1][0]) if session.progress.trials else 0
        self._tried_at = -every_steps if begun else tried

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.interrupted():
            return  # whoever asked to stop should not have to wait for a trial
        if self.every_steps and self.session.model.num_timesteps - self._tried_at >= self.every_steps:
            self.try_agent()

    def try_at_the_end(self) -> None:
        """Run the trial of the last agent, unless that has been done: a run may resume for its evaluation only."""
        if self.every_steps and self._tried_at != self.session.model.num_timesteps:
            self.try_agent()

    def try_agent(self) -> None:
        """Run the trial now, off the clock, and keep the agent if none was better."""
        model = self.session.model
        self._tried_at = model.num_timesteps
        with self.session.progress.paused():
            evaluation = evaluate(model, self._environments(), EPISODES)
            self.session.progress.trials.append((model.num_timesteps, evaluation.mean))
            model.logger.record("eval/mean_reward", evaluation.mean)
            model.logger.record("eval/mean_ep_length", sum(evaluation.lengths) / len(evaluation.lengths))
            if evaluation.mean >= self.mean_return:
                self.mean_return = evaluation.mean
                self._keep()

    def _keep(self) -> None:
        record = {"steps": self.session.model.num_timesteps, "mean_return": self.mean_return}

        def write(folder: Path) -> None:
            save_model(self.session.model, folder)
            (folder / _RECORD).write_text(json.dumps(record), encoding="utf-8")

        replace_folder(self.session.folder, _FOLDER, write)

    def _environments(self) -> VecEnv:
        """Environments of their own, as normalised as the training's are by now."""
        settings = self.session.settings
        # What is played depends on the step only, not on how often training was interrupted before.
        seed = derived_seed(settings.seed, self.session.model.num_timesteps, 2)
        if self._env is None:
            made = make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)
            self._env = normalized(made, settings.recipe)
        self._env.seed(seed)
        if isinstance(self._env, VecNormalize):
            self._env.training = self._env.norm_reward = False
            sync_envs_normalization(self.session.env, self._env)
        return self._env

    def close(self) -> None:
        """Close the environments, if any were made."""
        if self._env is not None:
            self._env.close()


def read_record(run: Path) -> dict[str, float] | None:
    """At how many ``steps`` the kept agent was, and its ``mean_return`` in the trial; None where none is kept."""
    folder = _folder(run)
    return None if folder is None else read_json(folder / _RECORD, "the record of the best agent")


def hand_out(run: Path) -> None:
    """Make the kept agent that of the run."""
    folder = _folder(run)
    assert folder is not None
    for name in (NORMALIZATION, MODEL):  # the model last: with it a run counts as finished
        if (folder / name).exists():
            with replacing(run / name) as temporary:
                shutil.copyfile(folder / name, temporary)


def _folder(run: Path) -> Path | None:
    return next((run / name for name in (_FOLDER, f"{_FOLDER}.old") if (run / name).is_dir()), None)
