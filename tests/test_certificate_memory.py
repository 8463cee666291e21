"""What the certificate does to a memory, and what it concludes about its use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import VecNormalize

from rl_larnn.agents.certificate.certificate import Interval, quantile
from rl_larnn.agents.certificate.certify import fixed_normalization
from rl_larnn.agents.certificate.evaluator import play
from rl_larnn.agents.certificate.interventions import (
    StateRows,
    frozen_memory,
    reset_every,
    rolling_window,
    swapped_memory,
    window_size,
)
from rl_larnn.agents.certificate.memory_use import memory_verdict
from rl_larnn.agents.certificate.policies import random_policy
from tests.certificate_cases import Clock, Echo, First, Idle, Lag, Parity, Present, finding, side_by_side
from tests.toy_envs import RecallFirst

# ---------------------------------------------------------------------- episodes and intervals


def test_intervals_are_those_of_the_tables() -> None:
    assert quantile(31) == pytest.approx(2.7440, abs=2e-4) and quantile(15) == pytest.approx(2.9467, abs=1e-3)
    interval = Interval.of(np.array([1.0, 2.0, 3.0, 4.0] * 8))
    assert interval.mean == 2.5 and interval.high - 2.5 == pytest.approx(2.7440 * 1.135924 / np.sqrt(32), rel=1e-3)
    assert interval.standard_error == pytest.approx(1.135924 / np.sqrt(32), rel=1e-3)


def test_all_agents_meet_the_same_episodes_whatever_was_played_before() -> None:
    env = side_by_side(lambda: Echo(0))
    first = play(random_policy(env.action_space, 0), env, 32, seed=5)
    play(Present(), env, 16, seed=9)
    again = play(random_policy(env.action_space, 0), env, 32, seed=5)
    assert np.array_equal(first.returns, again.returns) and (first.lengths == 24).all() and first.steps == 48
    assert len(set(first.returns)) > 3
    # Right by chance on the same signs: agents are paired by episode.
    assert np.array_equal(play(Lag(1), env, 32, 5).returns, [_repeats(5 + place) for place in range(32)])


def _repeats(seed: int) -> int:
    """The return of an agent that names the sign before where the present one is right; its first answer is 0."""
    env = Echo(0)
    env.reset(seed=seed)
    signs = env.signs[:24]
    return int((signs[1:] == signs[:-1]).sum() + (signs[0] == 0))


def test_normalisation_is_fixed_and_restored() -> None:
    env = VecNormalize(side_by_side(Echo))
    with fixed_normalization(env):
        played = play(Present(), env, 16, seed=0)
        assert env.obs_rms.count < 1 and (played.returns == 24).all()
    assert env.training and env.norm_reward


# ---------------------------------------------------------------------- changing a memory


@pytest.mark.parametrize("size", [7, 48])
def test_a_window_remembers_so_many_observations(size: int) -> None:
    assert window_size(size)[0] == size
    agent, resetting, state, other = rolling_window(Clock(), *window_size(size)), reset_every(Clock(), size), None, None
    for time_ in range(120):
        starts, shown = np.array([time_ == 0, time_ in (0, 50)]), np.zeros((2, 1))
        seen, state = agent.predict(shown, state, starts)
        ages = np.array([time_, time_ if time_ < 50 else time_ - 50])
        most = np.minimum(ages + 1, size)
        least = np.minimum(ages + 1, size - (0 if size <= 16 else size // 16 - 1))
        assert ((least <= seen + 1) & (seen + 1 <= most)).all(), (time_, seen)
        seen, other = resetting.predict(shown, other, starts)
        assert np.array_equal(seen, ages % size)


@pytest.mark.parametrize(("lag", "axis"), [(1, 0), (6, 1)])
def test_the_curve_finds_the_horizon(lag: int, axis: int) -> None:
    found = finding(Lag(lag, axis), lambda: Echo(lag))
    assert found.verdict == "yes" and found.horizon == lag + 1 and found.too_short == lag
    assert found.windows[1].mean < 0.6 * found.intact.mean and found.intact.mean == 24 - lag
    # Reset every n steps, it fails at some steps however large n is: the reason for windows.
    assert all(score.mean < found.intact.mean - 1 for score in found.resets.values())
    assert found.swapped is not None and found.swapped.high < found.intact.low


def test_an_agent_that_ignores_its_state_does_not_use_it() -> None:
    found = finding(Idle(3), Echo)
    assert found.verdict == "no" and found.horizon is None and found.losses["1"] == Interval(0, 0, 0, 32)


def test_what_the_first_observation_told_survives_freezing_but_not_swapping() -> None:
    found = finding(First(), lambda: RecallFirst(8))
    assert found.verdict == "yes" and found.frozen == found.intact == Interval(1, 1, 1, 32)
    assert found.swapped is not None and found.swapped.high < 0.9
    # No window short of the episode is enough.
    assert found.horizon == 8 and found.too_short == 7


def test_a_memory_of_the_time_alone_is_not_the_use_of_its_content() -> None:
    found = finding(Clock(), Parity)
    assert found.verdict == "no" and "another episode's does as well" in found.reason
    assert found.swapped == found.intact and found.windows[1].mean == 1


def test_swapping_gives_the_intact_memory_of_the_row_beside() -> None:
    class Spy:
        """Remembers the last observation."""

        def predict(self, observation: Any, state: Any, episode_start: np.ndarray, deterministic: bool) -> Any:
            seen.append(state)
            return np.zeros(len(observation), int), observation.copy()

    seen: list[Any] = []
    shown = np.arange(4.0)[:, None]
    for first, donors in ((True, (0, 1)), (False, (2, 3))):
        agent, state = swapped_memory(Spy(), StateRows((0,)), first), None
        for time_, ended in enumerate((True, False, True, False)):
            over = ended and time_ > 0
            starts = np.array([over, False, over, False]) if time_ else np.ones(4, bool)
            _, state = agent.predict(shown + 10 * time_, state, starts)
            if time_:
                # The first donor ends at 2 and begins another episode; its last memory is what counts from then on.
                expected = [donors[0] + 10 * min(time_ - 1, 1), donors[1] + 10 * (time_ - 1)] * 2
                assert seen[-1].ravel().tolist() == expected


def test_a_frozen_memory_is_that_after_the_first_step() -> None:
    agent, state = frozen_memory(Clock()), None
    acted = []
    for time_ in range(4):
        action, state = agent.predict(np.zeros((2, 1)), state, np.full(2, time_ == 0))
        acted.append(action[0])
    assert acted == [0, 1, 1, 1]


def test_rows_of_any_state_are_found() -> None:
    shown = np.zeros((3, 1), np.float32)
    assert StateRows.of(Lag(2, axis=1), shown) == StateRows((1,)) and StateRows.of(Present(), shown) is None
    rows, state = StateRows((0, 1)), (np.arange(3.0), [np.arange(6.0).reshape(2, 3)])
    assert rows.flat(state).tolist() == [[0, 0, 3], [1, 1, 4], [2, 2, 5]]
    chosen = rows.choose(np.array([True, False, False]), state, rows.take(state, np.array([2, 2, 2])))
    assert rows.flat(chosen).tolist() == [[0, 0, 3], [2, 2, 5], [2, 2, 5]] and isinstance(chosen[1], list)


def test_whether_an_agent_uses_its_memory() -> None:
    for *parts, verdict in (
        ((100, 90, 110), (80, 70, 90), (70, 60, 80), "yes"),
        ((100, 90, 110), (80, 70, 90), None, "yes"),
        ((100, 90, 110), (80, 70, 90), (2, -2, 6), "no"),
        ((100, 90, 110), (80, 70, 90), (10, -20, 40), "cannot tell"),
        ((100, 90, 110), (1, -4, 6), (1, -4, 6), "no"),
        ((100, 90, 110), (1, -4, 6), (50, 40, 60), "cannot tell"),
        ((100, 90, 110), (20, -5, 45), (20, 5, 45), "cannot tell"),
        ((0, 0, 0), (0, 0, 0), (0, 0, 0), "no"),
    ):
        skill, worth, swapped = (None if part is None else Interval(*part, 32) for part in parts)
        assert skill is not None and worth is not None
        assert memory_verdict(skill, worth, swapped)[0] == verdict, parts
