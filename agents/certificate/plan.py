"""How much fits into the time that there is: counts chosen from measured costs, never from scores.

A certificate with the same counts and the same seed comes out the same, however long it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from rl_larnn.agents.certificate.twins import ROLLOUT

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
