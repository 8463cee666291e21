"""Evaluation on whole episodes of known seeds, so that all agents meet the same episodes, and how many fit the budget.

Counts follow from measured costs, never from scores: with the same counts and seed a certificate comes out the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.interventions import COPIES, repeat_rows
from rl_larnn.agents.certificate.policies import Frames, random_policy
from rl_larnn.agents.certificate.training import ROLLOUT, train_ppo
from rl_larnn.agents.settings.environments import derived_seed
from rl_larnn.errors import UserError

#: Limits of the episodes behind a score, where whole batches (one episode in each environment) allow them.
FEWEST_EPISODES, MOST_EPISODES = 32, 256

#: Limits of the steps of a PPO baseline.
LEAST_SEARCH, MOST_SEARCH = 4 * ROLLOUT, 128 * ROLLOUT

#: Steps after which an episode counts as endless.
ENDLESS = 200_000

#: Evaluations for question B (windows apart), for question A, and of windows, roughly.
_MEMORY_EVALUATIONS, _BASELINE_EVALUATIONS, _WINDOWS = 5, 8, 7

#: What seeds are derived for.
_SCORES, _SELECTION, _COSTS, _TRAINING = range(4)

#: Called with the share of the time that is over, 0 to 1, and what comes next.
OnProgress = Callable[[float, str], None]


class Episodes(NamedTuple):
    """Episodes of one agent.

    :param returns: ``(E,)`` undiscounted, unscaled
    :param lengths: ``(E,)`` in steps
    :param steps: steps that the environments took side by side until the last episode of each batch was over
    """

    returns: np.ndarray
    lengths: np.ndarray
    steps: int


def play(agent: PolicyPredictor, env: VecEnv, episodes: int, seed: int, deterministic: bool = True) -> Episodes:
    """Play the episodes with seeds ``seed .. seed + episodes - 1``, each environment one of them at a time.

    A VecEnv seeds its environments with consecutive numbers. Environments are seeded anew before every episode: how
    many random numbers an episode uses depends on the agent.

    :param episodes: a multiple of the number of environments
    """
    assert episodes % env.num_envs == 0
    batches = [_play_batch(agent, env, seed + first, deterministic) for first in range(0, episodes, env.num_envs)]
    returns, lengths, steps = zip(*batches, strict=True)
    return Episodes(np.concatenate(returns), np.concatenate(lengths), sum(steps))


def _play_batch(agent: PolicyPredictor, env: VecEnv, seed: int, deterministic: bool) -> Episodes:
    monitored = all(env.env_is_wrapped(Monitor))
    env.seed(seed)
    observation: Any = env.reset()
    returns, lengths = np.zeros(env.num_envs), np.zeros(env.num_envs, int)
    running, state, starts = np.ones(env.num_envs, bool), None, np.ones(env.num_envs, bool)
    for step in range(1, ENDLESS + 1):
        actions, state = agent.predict(observation, state, starts, deterministic)
        observation, rewards, starts, infos = env.step(actions)
        returns, lengths = returns + running * rewards, lengths + running
        for index in np.flatnonzero(running & starts):
            # A wrapper may have changed the rewards, or ended an episode (a lost life) that goes on.
            if not monitored or "episode" in infos[index]:
                running[index] = False
                returns[index] = infos[index]["episode"]["r"] if monitored else returns[index]
        if not running.any():
            return Episodes(returns, lengths, step)
    raise UserError(f"expected episodes that end, got one of more than {ENDLESS} steps; give it a time limit")


@dataclass(frozen=True)
class Costs:
    """Measured on this machine, just now.

    :param steps: side-by-side steps until the last episode of a batch is over: the agent's, those of random actions or
        the time limit, whichever is longest
    :param agent_s: seconds of one such step with the agent
    :param window_s: the same with the copies of a rolling window
    :param ppo_s: seconds of one environment step of a PPO baseline's training
    """

    steps: int
    agent_s: float
    window_s: float
    ppo_s: float


def choose_episodes(costs: Costs, budget_s: float, n_envs: int) -> int:
    """Episodes whose evaluations take less than half of the budget, in whole batches."""
    evaluations = _MEMORY_EVALUATIONS + _BASELINE_EVALUATIONS
    step_s = evaluations * costs.agent_s + _WINDOWS * (costs.window_s + costs.agent_s)
    batches = int(0.5 * budget_s / (costs.steps * step_s))
    fewest, most = -(-FEWEST_EPISODES // n_envs), max(1, MOST_EPISODES // n_envs)
    return n_envs * max(fewest, min(batches, most))


def choose_search_steps(costs: Costs, left_s: float, n_envs: int, episodes: int) -> int:
    """Steps of a PPO baseline for which all baselines take the rest of the budget, in whole rollouts."""
    evaluations_s = _BASELINE_EVALUATIONS * costs.steps * costs.agent_s * episodes / n_envs
    # Two trainings with PPO, half a search and three students of a quarter, which act at the agent's pace.
    step_s = 2 * costs.ppo_s + 1.5 * costs.agent_s / n_envs
    wanted = int((left_s - evaluations_s) / step_s) // ROLLOUT * ROLLOUT
    return min(max(wanted, LEAST_SEARCH), MOST_SEARCH)


def student_steps(search_steps: int) -> int:
    """Environment steps of each student."""
    return min(max(search_steps // 4, LEAST_SEARCH // 2), 8 * LEAST_SEARCH)


class Evaluator:
    """Environments and seeds of one certificate.

    :param seed: every other seed is derived from it
    :param deterministic: whether the agent takes its likeliest actions
    :param budget_s: seconds, for the progress that is reported
    """

    def __init__(
        self, env: VecEnv, seed: int, deterministic: bool, budget_s: float, on_progress: OnProgress | None
    ) -> None:
        self.env, self.seed, self.deterministic = env, seed, deterministic
        self.episodes = env.num_envs
        self.budget_s, self._on_progress, self._started = budget_s, on_progress, time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Seconds since this was made."""
        return time.perf_counter() - self._started

    def announce(self, what: str) -> None:
        """Report what comes next."""
        if self._on_progress is not None:
            self._on_progress(min(0.99, self.elapsed_s / self.budget_s), what)

    def evaluate(self, agent: PolicyPredictor) -> Episodes:
        """The episodes behind every score."""
        return self._play(agent, self.episodes, _SCORES)

    def returns(self, agent: PolicyPredictor) -> np.ndarray:
        """Their returns (E,)."""
        return self.evaluate(agent).returns

    def selection_score(self, agent: PolicyPredictor) -> float:
        """The mean return on other episodes, half as many: it selects the best, and is not reported as a score."""
        batches = max(1, self.episodes // self.env.num_envs // 2)
        return float(self._play(agent, batches * self.env.num_envs, _SELECTION).returns.mean())

    def training_seed(self, number: int) -> int:
        """The seed of a training, another one for each number."""
        return self._derived(_TRAINING, number)

    def measure_costs(self, agent: PolicyPredictor) -> Costs:
        """From one batch of episodes of the agent, one of random actions and one rollout of PPO."""
        started = time.perf_counter()
        played = self._play(agent, self.env.num_envs, _COSTS)
        agent_s = (time.perf_counter() - started) / played.steps
        random = self._play(random_policy(self.env.action_space, self._derived(_COSTS)), self.env.num_envs, _COSTS)
        window_s = agent_s + self._predict_s(agent, COPIES) - self._predict_s(agent, 1)
        # Where agents are poor, episodes may be short; those of a better method last until the time limit.
        spec = self.env.get_attr("spec")[0]
        limit = (spec.max_episode_steps or 0) if spec is not None else 0
        longest = max(int(played.lengths.max()), int(random.lengths.max()), limit)
        return Costs(longest, agent_s, max(window_s, agent_s), self._ppo_s())

    def _ppo_s(self) -> float:
        """Seconds of one step of PPO's training, the first rollout not counted: torch still imports things then."""
        times: list[float] = []
        frames, seed = Frames(self.env.observation_space, 1), self._derived(_COSTS)

        def on_step(*_: Any) -> bool:
            times.append(time.perf_counter())
            return True

        train_ppo(self.env, frames, 2 * ROLLOUT, seed, callback=on_step)
        half = len(times) // 2
        return (times[-1] - times[half - 1]) / (half * self.env.num_envs)

    def _predict_s(self, agent: PolicyPredictor, copies: int, calls: int = 20) -> float:
        """Seconds of one call for so many copies of a batch."""
        observation, starts = repeat_rows(self.env.reset(), copies), np.ones(copies * self.env.num_envs, bool)
        state: Any = agent.predict(observation, None, starts, self.deterministic)[1]
        started = time.perf_counter()
        for _ in range(calls):
            _, state = agent.predict(observation, state, ~starts, self.deterministic)
        return (time.perf_counter() - started) / calls

    def _play(self, agent: PolicyPredictor, episodes: int, purpose: int) -> Episodes:
        # Agents that sample use the global random numbers, which must not depend on what was played before.
        set_random_seed(self._derived(purpose))
        return play(agent, self.env, episodes, self._derived(purpose), self.deterministic)

    def _derived(self, *purpose: int) -> int:
        return derived_seed(self.seed, 100, *purpose)
