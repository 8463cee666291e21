"""Wrappers that change the form of observations and actions."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl_larnn.envs import ObjectsInView, SelectActions, StatePart, VectorObservation
from tests.wrapper_cases import VECTOR, Sampler


@pytest.mark.parametrize(
    "space, value, expected",
    [
        (spaces.Discrete(3, start=2), 3, [0, 1, 0]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(2), np.array([1, 0]), [1, 0]),
        (spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3))), (0, 2), [1, 0, 0, 0, 1]),
        (spaces.Box(-9, 9, (2, 2), np.float64), np.array([[1.5, 2], [3, -4]]), [1.5, 2, 3, -4]),
    ],
    ids=str,
)
def test_vector_by_hand(space: gym.Space, value: Any, expected: list[float]) -> None:
    env = VectorObservation(Sampler(space))
    vector = env.observation(value)
    assert vector.dtype == np.float32 and vector in env.observation_space and env.observation_space.dtype == np.float32
    np.testing.assert_array_equal(vector, expected)


def test_vector_needs_a_fixed_size() -> None:
    with pytest.raises(TypeError, match="expected observations of fixed size"):
        VectorObservation(Sampler(spaces.Sequence(spaces.Discrete(2))))


def test_selected_actions_are_those_of_the_environment() -> None:
    env = SelectActions(Sampler(VECTOR, spaces.Discrete(4, start=3)), actions=(6, 3))
    assert env.action_space == spaces.Discrete(2) and [env.action(np.int64(i)) for i in range(2)] == [6, 3]


@pytest.mark.parametrize("actions", [(), (1, 1), (0, 4), (-1,)])
def test_actions_that_cannot_be_selected(actions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected different actions from 0 to 3, at least one, got"):
        SelectActions(Sampler(VECTOR, spaces.Discrete(4)), actions)
    with pytest.raises(TypeError, match="expected Discrete actions, got Box"):
        SelectActions(Sampler(VECTOR, VECTOR), actions)


VIEW = spaces.Dict({"image": spaces.Box(0, 255, (2, 1, 3), np.uint8), "mission": spaces.Text(5)})


def test_objects_in_view_by_hand() -> None:
    env = ObjectsInView(Sampler(VIEW), kinds=(1, 5, 6))
    image = np.array([[[6, 1, 0]], [[1, 0, 2]]], np.uint8)
    vector = env.observation({"image": image, "mission": "ab"})
    assert vector.tolist() == [0, 0, 1, 1, 0, 0] and vector in env.observation_space
    with pytest.raises(ValueError, match=r"expected the kinds \[1, 5, 6\], got \[1, 9\]"):
        env.observation({"image": np.where(image == 6, 9, image)})
    with pytest.raises(TypeError, match="expected MiniGrid's Dict with an image, got Box"):
        ObjectsInView(Sampler(VECTOR), kinds=(1,))


def test_state_part_by_hand() -> None:
    base = Sampler(spaces.Box(-9, 9, (6,), np.float64))
    with pytest.raises(TypeError, match="expected one of Gymnasium's MuJoCo environments"):
        StatePart(base, "qpos")
    base.observation_structure = {"skipped_qpos": 1, "qpos": 2, "qvel": 3, "cfrc_ext": 1, "ten_length": 0}
    value = np.arange(6.0)
    assert StatePart(base, "qpos").observation(value).tolist() == [0, 1]
    assert StatePart(base, "qvel").observation(value).tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="expected one of qpos, qvel, cfrc_ext, got 'qacc'"):
        StatePart(base, "qacc")
