"""Wrappers that show the previous action and the first step."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence

from rl_larnn.envs import FirstStepFlag, PreviousAction
from rl_larnn.envs.spaces import is_vector
from tests.wrapper_cases import ACTIONS, SPACES, VECTOR, Sampler, trajectory


@pytest.mark.parametrize(
    "actions, action, expected",
    [
        (ACTIONS[0], 2, [0, 0, 1]),
        (ACTIONS[1], -1, [1, 0, 0]),
        (ACTIONS[2], [1, 2], [0, 1, 0, 0, 1, 0]),
        (ACTIONS[3], [1, 0, 1], [1, 0, 1]),
        (ACTIONS[4], [[-2.0, 0.0], [2.0, 6.0]], [-1, -0.5, 0, 1]),  # scaled
        (ACTIONS[4], [[-9.0, 0.0], [2.0, 9.0]], [-1, -0.5, 0, 1]),  # clipped
        (ACTIONS[5], [-7.5, 0.25, 3.0], [-7.5, -0.5, 3.0]),  # raw where there are no bounds
        (ACTIONS[6], [9], [1]),
    ],
)
def test_previous_action_by_hand(actions: gym.Space, action: Any, expected: list[float]) -> None:
    env = PreviousAction(Sampler(spaces.Discrete(2), actions))
    first = env.reset(seed=0)[0]["previous_action"]
    after = env.step(np.array(action))[0]["previous_action"]
    again = env.reset()[0]["previous_action"]
    np.testing.assert_allclose(after, expected)
    assert not first.any() and not again.any() and first.shape == after.shape and after.dtype == np.float32


@pytest.mark.parametrize(
    "wrapper, key, size", [(PreviousAction, "previous_action", 2), (FirstStepFlag, "first_step", 1)]
)
def test_cues_leave_the_observation_as_it_is(wrapper: Any, key: str, size: int) -> None:
    runs = [(space, trajectory(Sampler(space), 4), trajectory(wrapper(Sampler(space)), 4)) for space in SPACES]
    for space, original, seen in ((space, *both) for space, *run in runs for both in zip(*run, strict=True)):
        if is_vector(space):
            assert seen.dtype == np.float32 and seen.shape == (len(original) + size,)
            np.testing.assert_array_equal(seen[:-size], original.astype(np.float32))
        else:
            cue = seen.pop(key)
            assert cue.shape == (size,)
            assert data_equivalence(seen, original if isinstance(space, spaces.Dict) else {"observation": original})


@pytest.mark.parametrize("wrapper", [PreviousAction, FirstStepFlag])
def test_cue_twice_in_a_dict_is_refused(wrapper: Any) -> None:
    with pytest.raises(ValueError, match=r"already has a part named .*; apply the wrapper once"):
        wrapper(wrapper(Sampler(spaces.Discrete(2))))


def test_previous_action_needs_actions_of_fixed_size() -> None:
    with pytest.raises(TypeError, match="expected actions of fixed size"):
        PreviousAction(Sampler(VECTOR, spaces.Sequence(spaces.Discrete(2))))


def test_first_step_is_marked_at_every_reset_and_only_there() -> None:
    env = FirstStepFlag(Sampler(VECTOR))
    flags = [observation[-1] for observation in trajectory(env, 0, 3) + trajectory(env, 0, 2)]
    assert flags == [1, 0, 0, 0, 1, 0, 0]
