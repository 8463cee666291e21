"""Periodic evaluation: between pieces of training the agent plays a few episodes; the best checkpoints are kept.

Policy gradients go on after a task is solved, and may leave the solution again. Hence the result of an online run is
chosen among the agents that did best on the way (:mod:`rl_larnn.agents.training.selection`).
"""

from __future__ import annotations

from stable_baselines3.common.vec_env import VecEnv, VecNormalize, sync_envs_normalization

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.settings.environments import make_environments, normalized
from rl_larnn.agents.training.selection import keep
from rl_larnn.agents.training.session import Session

#: Episodes of each evaluation, all side by side.
EPISODES = 10


class PeriodicEvaluation:
    """Evaluates the agent now and then, with its likeliest actions and off the clock."""

    def __init__(self, session: Session) -> None:
        self.session = session
        learner, asked = session.learner, session.settings.eval_freq
        self.every = max(learner.total // learner.evaluations, 1) if asked is None else asked
        self._env: VecEnv | None = None
        # An agent that begins with the weights of a run may be at its best before the first step.
        fresh_start = session.settings.init is not None and not learner.done
        done = [int(units) for units, _ in session.progress.evaluations]
        self._last = -self.every if fresh_start else done[-1] if done else 0

    def run_if_due(self, last: bool = False) -> bool:
        """Evaluate if it is time.

        :param last: training is over: evaluate unless this agent has been
        :return: whether it was done
        """
        done = self.session.learner.done
        due = done - self._last >= self.every or (last and done != self._last)
        if self.every and due:
            self._run()
            return True
        return False

    def _run(self) -> None:
        session, learner = self.session, self.session.learner
        learner.check()
        self._last = learner.done
        with session.progress.paused():
            found = evaluate(learner.model, self._environments(), EPISODES)
            session.progress.evaluations.append((learner.done, found.mean))
            records = {
                "eval/mean_reward": found.mean,
                "eval/mean_ep_length": sum(found.lengths) / len(found.lengths),
                **learner.evaluation_records(found.mean),
            }
            for key, value in records.items():
                learner.model.logger.record(key, value)
            if learner.selects_best:
                keep(session, found.mean)

    def _environments(self) -> VecEnv:
        """Environments of their own, as normalised as those of the training are by now."""
        settings, learner = self.session.settings, self.session.learner
        seed = learner.evaluation_seed()
        if self._env is None:
            made = make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)
            self._env = normalized(made, settings.recipe)
        self._env.seed(seed)
        if isinstance(self._env, VecNormalize):
            self._env.training = self._env.norm_reward = False
            sync_envs_normalization(learner.env, self._env)
        return self._env

    def close(self) -> None:
        """Close the environments, if any were made."""
        if self._env is not None:
            self._env.close()
