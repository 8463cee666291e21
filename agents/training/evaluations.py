"""Trials of the agent while it trains. Training ends where it ends; what is handed out is the best that was on the way.

Policy gradients walk on after a task is solved, and may walk away from the solution again. Between rollouts, the
agent is tried on a few episodes of its own, with its likeliest actions; those that do best are kept.
"""

from __future__ import annotations

from collections.abc import Callable

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv, VecNormalize, sync_envs_normalization

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.agents.runs.state import Session
from rl_larnn.agents.settings.environments import make_environments, normalized
from rl_larnn.agents.training.top_checkpoints import keep

#: Episodes of each trial, all side by side.
EPISODES = 10


class TrialCallback(BaseCallback):
    """Tries the agent between rollouts and keeps those that do best.

    :param every_steps: environment steps between trials; 0 for none
    :param interrupted: whether training is about to stop
    """

    def __init__(self, session: Session, every_steps: int, interrupted: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.interrupted = interrupted
        self.session = session
        self.every_steps = every_steps
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
        """Run the trial now, off the clock, and keep the agent if it is among the best."""
        model = self.session.model
        self._tried_at = model.num_timesteps
        with self.session.progress.paused():
            evaluation = evaluate(model, self._environments(), EPISODES)
            self.session.progress.trials.append((model.num_timesteps, evaluation.mean))
            model.logger.record("eval/mean_reward", evaluation.mean)
            model.logger.record("eval/mean_ep_length", sum(evaluation.lengths) / len(evaluation.lengths))
            keep(self.session, evaluation.mean)

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
