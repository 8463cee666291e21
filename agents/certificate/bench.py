"""Where contenders are tried (some episodes, to choose among them) and judged (others, the same for all)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.contenders import Chance
from rl_larnn.agents.certificate.episodes import Played, play
from rl_larnn.agents.certificate.inputs import Frames
from rl_larnn.agents.certificate.interventions import COPIES
from rl_larnn.agents.certificate.plan import Costs
from rl_larnn.agents.certificate.states import repeat_rows
from rl_larnn.agents.certificate.twins import ROLLOUT, train_twin
from rl_larnn.agents.runs.randomness import derived_seed

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
