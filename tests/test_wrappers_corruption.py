"""Wrappers that take information away: mask, noise, flicker, freeze."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs import FlickerObservation, FreezeObservation, MaskObservation, NoisyObservation
from rl_larnn.envs.spaces import has_float_box, is_vector
from tests.wrapper_cases import SPACES, VECTOR, Sampler, trajectory


@given(hidden=st.lists(st.integers(0, 3), unique=True, max_size=3), seed=st.integers(0, 100))
def test_mask_removes_exactly_the_hidden(hidden: list[int], seed: int) -> None:
    masked, full = trajectory(MaskObservation(Sampler(VECTOR), hidden), seed), trajectory(Sampler(VECTOR), seed)
    for short, long in zip(masked, full, strict=True):
        np.testing.assert_array_equal(short, [value for i, value in enumerate(long) if i not in hidden])


@pytest.mark.parametrize(
    "hidden, message",
    [
        ((1, 4), r"cannot hide index 4: the valid indices are 0 to 3"),
        ((-1,), r"cannot hide index -1: the valid indices are 0 to 3"),
        ((2, 0, 2), r"each index once, got \(2, 0, 2\); use \(0, 2\)"),
        ((0, 1, 2, 3), r"hide all 4 values; leave at least one"),
    ],
)
def test_mask_errors(hidden: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskObservation(Sampler(VECTOR), hidden)


def test_mask_wants_a_vector() -> None:
    for space in (space for space in SPACES if not is_vector(space)):
        with pytest.raises(TypeError, match=r"expected a Box vector observation, got .*FlattenObservation"):
            MaskObservation(Sampler(space), (0,))


def test_noise_has_the_mean_and_spread_asked_for() -> None:
    still = spaces.Box(3.0, 3.0, (1000,), np.float32)
    noise = np.concatenate(trajectory(NoisyObservation(Sampler(still), std=0.5), seed=0, length=20)) - 3
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 0.5) < 0.02


def test_noise_is_fresh_at_every_step_and_at_reset() -> None:
    still = spaces.Box(3.0, 3.0, (1,), np.float32)
    values = [float(observation[0]) for observation in trajectory(NoisyObservation(Sampler(still), 1.0), 0, 20)]
    assert len(set(values)) == len(values) and 3.0 not in values


def test_noise_of_zero_changes_nothing() -> None:
    assert data_equivalence(trajectory(NoisyObservation(Sampler(VECTOR), 0.0), 1), trajectory(Sampler(VECTOR), 1))


def test_noise_in_a_dict_reaches_the_floats_only() -> None:
    noisy, plain = trajectory(NoisyObservation(Sampler(SPACES[-1]), 1.0), 1), trajectory(Sampler(SPACES[-1]), 1)
    for ours, original in zip(noisy, plain, strict=True):
        assert ours["mode"] == original["mode"] and (ours["image"] == original["image"]).all()
        assert (ours["speed"] != original["speed"]).all()


def test_noise_refuses_other_spaces_and_numbers() -> None:
    for space in (space for space in SPACES if not has_float_box(space)):
        with pytest.raises(TypeError, match="expected a Box of floats or a Dict with one, got"):
            NoisyObservation(Sampler(space), 0.1)
    for std in (-0.1, np.inf, np.nan):
        with pytest.raises(ValueError, match="expected a finite std of at least 0, got"):
            NoisyObservation(Sampler(VECTOR), std)


def test_flicker_blanks_all_or_nothing_with_its_probability() -> None:
    parts = {str(number): space for number, space in enumerate(SPACES)}
    env = Sampler(spaces.Dict({"marker": spaces.Box(1.0, 1.0, (2,), np.float32), "rest": spaces.Dict(parts)}))
    seen = trajectory(FlickerObservation(env, 0.3), seed=0, length=1000)
    blank = [observation for observation in seen if not observation["marker"].any()]
    assert 0.25 < len(blank) / len(seen) < 0.35
    assert all(not np.any(value) for observation in blank for value in _leaves(observation["rest"]))


def _leaves(observation: Any) -> list[Any]:
    if not isinstance(observation, dict):
        return [observation]
    return [leaf for part in observation.values() for leaf in _leaves(part)]


@pytest.mark.parametrize("probability, blank", [(0.0, False), (1.0, True)])
def test_flicker_at_its_limits_and_at_reset(probability: float, blank: bool) -> None:
    still = spaces.Box(3.0, 3.0, (1,), np.float32)
    seen = trajectory(FlickerObservation(Sampler(still), probability), 0)
    assert all(observation[0] == (0 if blank else 3) for observation in seen)


def test_flicker_refuses_other_numbers_and_spaces() -> None:
    for probability in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="expected a probability from 0 to 1, got"):
            FlickerObservation(Sampler(VECTOR), probability)
    for space in (spaces.Discrete(3, start=1), spaces.Text(5)):
        with pytest.raises(TypeError, match=r"cannot blank .*: it has no zero"):
            FlickerObservation(Sampler(space), 0.5)


class Counter(gym.Env):
    """Shows how many steps the episode has had."""

    observation_space = spaces.Box(0.0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        return np.full(1, self.steps, np.float32), float(self.steps), self.steps == 9, False, {}


def shown(env: gym.Env, length: int, seed: int = 0) -> list[int]:
    return [int(observation[0]) for observation in trajectory(env, seed, length)]


def test_freeze_by_hand() -> None:
    # Frozen for three steps, fresh for one, from the first step on; and never at a reset.
    env = FreezeObservation(Counter(), probability=1.0, shortest=3, longest=3)
    assert shown(env, 9) == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]
    assert shown(env, 2) == [0, 0, 0]


def test_freeze_leaves_rewards_and_endings_alone() -> None:
    env = FreezeObservation(Counter(), probability=1.0, shortest=50, longest=50)
    env.reset(seed=0)
    assert [env.step(0)[1:3] for _ in range(9)] == [(float(i), i == 9) for i in range(1, 10)]


def test_freeze_lengths_are_as_asked_for() -> None:
    seen = np.array(shown(FreezeObservation(Counter(), probability=0.2, shortest=2, longest=4), 4000))
    fresh = np.flatnonzero(seen == np.arange(len(seen)))
    frozen = np.diff(fresh) - 1
    counts = np.bincount(frozen, minlength=5)
    assert counts[1] == 0 and len(counts) == 5 and (counts[2:] > 100).all()
    # A freeze can begin at any fresh step but the first after a freeze: a chance of 0.2 for each of these.
    assert abs((frozen > 0)[1:][frozen[:-1] == 0].mean() - 0.2) < 0.03


def test_freeze_of_probability_zero_changes_nothing() -> None:
    assert shown(FreezeObservation(Counter(), 0.0, 1, 2), 8) == list(range(9))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1.5, 1, 2), "expected a probability from 0 to 1, got 1.5"),
        ((0.5, 0, 2), "expected 1 <= shortest <= longest, got shortest 0 and longest 2"),
        ((0.5, 3, 2), "expected 1 <= shortest <= longest, got shortest 3 and longest 2"),
    ],
)
def test_freeze_errors(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FreezeObservation(Counter(), *arguments)
