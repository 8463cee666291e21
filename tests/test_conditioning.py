"""The cues of return-conditioned agents, by hand, and that data look to a learner as the environment to the agent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.testing as npt
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_larnn.agents.offline.observed import observed_windows
from rl_larnn.agents.settings.environments import wrap_environment
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.envs import ReturnToGo, StepNumber
from rl_larnn.envs.datasets import WindowSampler, returns_to_go
from rl_larnn.envs.wrappers.cues import action_cues
from tests.dataset_cases import IMAGE, PUSHES, TORQUES, VECTOR, Replay, random_dataset


def test_the_return_to_go_by_hand() -> None:
    """Rewards 1, 2, 4: a target of 10 leaves 10, 9, 7 before the three actions, their own rewards still in it."""
    dataset = random_dataset([3])
    dataset.columns.rewards[:] = [1, 2, 4]
    env = ReturnToGo(Replay(dataset), target=10)
    seen = [env.reset()[0][-1], *(env.step(env.action_space.sample())[0][-1] for _ in range(3))]
    assert seen == [10, 9, 7, 3]
    assert [env.reset()[0][-1], env.step(env.action_space.sample())[0][-1]] == [10, 9]
    # Asked for what the episode returned, the agent sees exactly the returns-to-go of the data.
    exact = ReturnToGo(Replay(dataset), target=7)
    seen = [exact.reset()[0][-1], *(exact.step(env.action_space.sample())[0][-1] for _ in range(2))]
    assert seen == [7, 6, 4] == returns_to_go(np.array([1, 2, 4])).tolist()
    assert seen == WindowSampler(dataset, 3).at(np.array([0])).returns_to_go[0].tolist()


def test_the_step_number_by_hand() -> None:
    env = StepNumber(Replay(random_dataset([5, 3])), last=3)
    assert [env.reset()[0][-1], *(env.step(env.action_space.sample())[0][-1] for _ in range(5))] == [0, 1, 2, 3, 3, 3]
    assert [env.reset()[0][-1], env.step(env.action_space.sample())[0][-1]] == [0, 1]
    assert env.observation_space.contains(env.step(env.action_space.sample())[0])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda env: ReturnToGo(env, float("nan")), "ReturnToGo expected a finite target return, got nan"),
        (lambda env: StepNumber(env, 0), "StepNumber expected a last number of at least 1, got 0"),
    ],
)
def test_impossible_cues_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(gym.make("CartPole-v1"))


@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(3), spaces.Discrete(3, start=-1), spaces.MultiDiscrete([2, 4]), spaces.MultiBinary(3)],
    ids=str,
)
def test_choices_are_shown_as_gymnasium_flattens_them(space: spaces.Space) -> None:
    space.seed(0)
    actions = [[space.sample() for _ in range(4)] for _ in range(3)]
    expected = np.array([[spaces.flatten(space, action) for action in row] for row in actions], np.float32)
    npt.assert_array_equal(action_cues(space, np.array(actions)), expected, strict=True)


SPACES = {
    "vector": (VECTOR, TORQUES),
    "pushes": (VECTOR, PUSHES),
    "image": (IMAGE, PUSHES),
    "several": (VECTOR, spaces.MultiDiscrete([2, 3])),
    "bits": (VECTOR, spaces.MultiBinary(3)),
    "states": (spaces.Discrete(5), PUSHES),
    "grid of torques": (VECTOR, spaces.Box(-2.0, 3.0, (2, 2), np.float32)),
}


@pytest.mark.parametrize("kind", SPACES)
@settings(max_examples=15)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    previous_action=st.booleans(),
    first_step_flag=st.booleans(),
    conditioned=st.booleans(),
    step_number=st.one_of(st.none(), st.integers(1, 7)),
)
def test_data_look_as_the_environment_does(
    kind: str,
    lengths: list[int],
    previous_action: bool,
    first_step_flag: bool,
    conditioned: bool,
    step_number: int | None,
) -> None:
    """Episodes played once more, through the wrappers, with their own returns as targets."""
    observation_space, action_space = SPACES[kind]
    dataset = random_dataset(lengths, observation_space=observation_space, action_space=action_space)
    recipe = Recipe(previous_action=previous_action, first_step_flag=first_step_flag, step_number=step_number)
    for number, episode in enumerate(dataset.episodes):
        target = float(dataset.returns[number]) if conditioned else None
        replay = Replay(dataset.with_episodes([episode]))
        env = wrap_environment(replay, replace(recipe, target_return=target))
        shown = [env.reset()[0], *(env.step(action)[0] for action in episode.actions[:-1])]
        windows = WindowSampler(dataset, len(episode)).at(dataset.columns.offsets[[number]])
        seen = observed_windows(windows, dataset, replace(recipe, target_return=target))
        for key in seen if isinstance(seen, dict) else [None]:
            expected = np.stack([part if key is None else part[key] for part in shown])
            found = (seen if key is None else seen[key])[0]
            assert found.dtype == expected.dtype
            npt.assert_allclose(found, expected, atol=1e-5)
