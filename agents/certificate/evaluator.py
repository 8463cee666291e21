"""How much fits into the time that there is: counts chosen from measured costs, never from scores.

A certificate with the same counts and the same seed comes out the same, however long it takes.

Whole episodes on known seeds, so that two agents, or two states of one agent, meet the same beginnings.

Where contenders are tried (some episodes, to choose among them) and judged (others, the same for all).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from rl_larnn.agents.certificate.interventions import COPIES, repeat_rows
from rl_larnn.agents.certificate.policies import Chance, Frames
from rl_larnn.agents.certificate.training import ROLLOUT, train_twin
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.errors import UserError

#: Episodes that a score rests on, if whole batches (one episode in each environment) allow it.
FEWEST_EPISODES, MOST_EPISODES = 32, 256

#: Steps of a twin's training.
LEAST_SEARCH, MOST_SEARCH = 4 * ROLLOUT, 128 * ROLLOUT

#: Times that a batch is played for question B (windows apart) and for question A, roughly.
_MEMORY_PASSES, _CONTEST_PASSES = 5, 8

#: Windows that are measured, roughly: the first two that are enough end the curve.
_WINDOWS = 7


@dataclass(frozen=True)
class Costs:
    """Measured on this machine, just now.

    :param steps: side-by-side steps until the last episode of a batch is over: the agent's, those of chance or the time
        limit, whichever is longest
    :param agent_s: seconds of one such step with the agent
    :param window_s: the same with the copies of a rolling window
    :param twin_s: seconds of one environment step of a twin's training
    """

    steps: int
    agent_s: float
    window_s: float
    twin_s: float


@dataclass(frozen=True)
class Plan:
    """What a certificate did.

    :param episodes: on which each score is judged, the same seeds for all
    :param search_steps: environment steps of each twin's training; half as many go to the search, and a quarter, but
        at least :data:`LEAST_SEARCH` / 2 and at most 16 times that, to each student
    """

    episodes: int
    search_steps: int

    @property
    def student_steps(self) -> int:
        """Environment steps of each student."""
        return min(max(self.search_steps // 4, LEAST_SEARCH // 2), 8 * LEAST_SEARCH)


def choose_episodes(costs: Costs, budget_s: float, n_envs: int) -> int:
    """Episodes for which the playing takes less than half of the time, in whole batches."""
    playing_s = (_MEMORY_PASSES + _CONTEST_PASSES) * costs.agent_s + _WINDOWS * (costs.window_s + costs.agent_s)
    batches = int(0.5 * budget_s / (costs.steps * playing_s))
    fewest, most = -(-FEWEST_EPISODES // n_envs), max(1, MOST_EPISODES // n_envs)
    return n_envs * max(fewest, min(batches, most))


def choose_search_steps(costs: Costs, left_s: float, n_envs: int, episodes: int) -> int:
    """Steps of a twin for which the contest takes what is left of the time, in whole rollouts."""
    playing_s = _CONTEST_PASSES * costs.steps * costs.agent_s * episodes / n_envs
    # Two twins, half a search and three students of a quarter, which act at the agent's pace.
    step_s = 2 * costs.twin_s + 1.5 * costs.agent_s / n_envs
    wanted = int((left_s - playing_s) / step_s) // ROLLOUT * ROLLOUT
    return min(max(wanted, LEAST_SEARCH), MOST_SEARCH)


#: Steps after which an episode counts as endless.
ENDLESS = 200_000


@dataclass(frozen=True)
class Played:
    """Episodes of one agent.

    :param returns: ``(E,)`` undiscounted, unscaled
    :param lengths: ``(E,)`` in steps
    :param steps: steps that the environments took side by side until the last episode of each batch was over
    """

    returns: np.ndarray
    lengths: np.ndarray
    steps: int


def play(agent: PolicyPredictor, env: VecEnv, episodes: int, seed: int, deterministic: bool = True) -> Played:
    """Play the episodes with seeds ``seed .. seed + episodes - 1``, each environment one of them at a time.

    A VecEnv seeds its environments with consecutive numbers. Environments are seeded anew before every episode, since
    how many random numbers an episode uses depends on the agent: what comes after it would be no common ground.

    :param episodes: a multiple of the number of environments
    """
    assert episodes % env.num_envs == 0
    monitored = all(env.env_is_wrapped(Monitor))
    batches = [
        _play_batch(agent, env, seed + first, deterministic, monitored) for first in range(0, episodes, env.num_envs)
    ]
    returns, lengths = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("returns", "lengths"))
    return Played(returns, lengths, sum(batch.steps for batch in batches))


def _play_batch(agent: PolicyPredictor, env: VecEnv, seed: int, deterministic: bool, monitored: bool) -> Played:
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
            return Played(returns, lengths, step)
    raise UserError(f"expected episodes that end, got one of more than {ENDLESS} steps; give it a time limit")


@contextmanager
def frozen(env: VecEnv) -> Iterator[VecEnv]:
    """Hold every normalisation around the environments still, rewards unscaled; afterwards it is as before."""
    layers: list[VecNormalize] = []
    layer = env
    while isinstance(layer, VecEnvWrapper):
        layers += [layer] if isinstance(layer, VecNormalize) else []
        layer = layer.venv
    before = [(item.training, item.norm_reward) for item in layers]
    for item in layers:
        item.training = item.norm_reward = False
    try:
        yield env
    finally:
        for item, (training, norm_reward) in zip(layers, before, strict=True):
            item.training, item.norm_reward = training, norm_reward


#: Told the share of the time that is over, 0 to 1, and what is going on.
OnProgress = Callable[[float, str], None]

_JUDGING, _TRYING, _COSTS, _TRAINING = range(4)


class Bench:
    """Environments and seeds of one certificate.

    :param seed: every other seed is derived from it
    :param deterministic: whether the agent takes its likeliest actions
    :param budget_s: seconds, for the progress report
    """

    def __init__(
        self, env: VecEnv, seed: int, deterministic: bool, budget_s: float, on_progress: OnProgress | None
    ) -> None:
        self.env, self.seed, self.deterministic = env, seed, deterministic
        self.episodes = env.num_envs
        self._budget_s, self._on_progress, self._began = budget_s, on_progress, time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the bench was made."""
        return time.perf_counter() - self._began

    def report(self, what: str) -> None:
        """Say what comes next."""
        if self._on_progress is not None:
            self._on_progress(min(0.99, self.elapsed_s / self._budget_s), what)

    def judge(self, agent: PolicyPredictor) -> np.ndarray:
        """Returns (E,) on the episodes that every score rests on."""
        return self.judged(agent).returns

    def judged(self, agent: PolicyPredictor) -> Played:
        """The same with the lengths of the episodes."""
        return self._play(agent, self.episodes, _JUDGING)

    def try_out(self, agent: PolicyPredictor) -> float:
        """The mean return on other episodes, half as many: by it one is chosen, and it is not reported as a score."""
        batches = max(1, self.episodes // self.env.num_envs // 2)
        return float(self._play(agent, batches * self.env.num_envs, _TRYING).returns.mean())

    def training_seed(self, number: int) -> int:
        """The seed of a training; the number tells several apart."""
        return self._derived(_TRAINING, number)

    def measure(self, agent: PolicyPredictor) -> Costs:
        """What a step costs, from one batch of episodes of the agent, one of chance and one rollout of a twin."""
        played, agent_s = self._timed(agent)
        chance, _ = self._timed(Chance(self.env.action_space, self._derived(_COSTS)))
        window_s = agent_s + self._predicting(agent, COPIES) - self._predicting(agent, 1)
        twin_s = self._training()
        # Where agents are poor, episodes may be short; a better contender's last until the time limit.
        spec = self.env.get_attr("spec")[0]
        limit = (spec.max_episode_steps or 0) if spec is not None else 0
        longest = max(int(played.lengths.max()), int(chance.lengths.max()), limit)
        return Costs(longest, agent_s, max(window_s, agent_s), twin_s)

    def _training(self) -> float:
        """Seconds of one step of a twin's training, the first rollout not counted: torch still imports things then."""
        moments: list[float] = []
        frames = Frames(self.env.observation_space, 1)
        train_twin(
            self.env, frames, 2 * ROLLOUT, self._derived(_COSTS), None, lambda _: moments.append(time.perf_counter())
        )
        return (moments[-1] - moments[0]) / ROLLOUT

    def _timed(self, agent: PolicyPredictor) -> tuple[Played, float]:
        began = time.perf_counter()
        played = self._play(agent, self.env.num_envs, _COSTS)
        return played, (time.perf_counter() - began) / played.steps

    def _predicting(self, agent: PolicyPredictor, copies: int, calls: int = 20) -> float:
        """Seconds of one call for so many copies of a batch."""
        observation, starts = repeat_rows(self.env.reset(), copies), np.ones(copies * self.env.num_envs, bool)
        state: Any = agent.predict(observation, None, starts, self.deterministic)[1]
        began = time.perf_counter()
        for _ in range(calls):
            _, state = agent.predict(observation, state, ~starts, self.deterministic)
        return (time.perf_counter() - began) / calls

    def _play(self, agent: PolicyPredictor, episodes: int, purpose: int) -> Played:
        # What is drawn besides the environment's own numbers, by an agent that samples, must not depend on history.
        set_random_seed(self._derived(purpose))
        return play(agent, self.env, episodes, self._derived(purpose), self.deterministic)

    def _derived(self, *purpose: int) -> int:
        return derived_seed(self.seed, 100, *purpose)
