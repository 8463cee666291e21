"""Collection: what is recorded is what happened, whoever acts, whatever they see and however many run side by side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.testing as npt
import pytest
from gymnasium import spaces
from gymnasium.error import DependencyNotInstalled

from rl_larnn.envs import TASKS, FirstStepFlag, MaskObservation, PreviousAction, make
from rl_larnn.envs.datasets import (
    Amount,
    Behaviour,
    Columns,
    Dataset,
    DatasetError,
    Episode,
    Recorder,
    collect,
    episode_seed,
    mask_of,
    mixed_behaviour,
    random_behaviour,
    scripted_behaviour,
)
from rl_larnn.envs.tasks.tmaze import TMaze
from tests.dataset_cases import IMAGE, PUSHES, TORQUES, VECTOR, assert_same_episodes
from tests.toy_envs import Breaks, RandomSpaces


def leaning(observations: np.ndarray, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
    """CartPole: push to the side to which the pole leans, and every seventh step to the other; counts by itself."""
    counts = np.zeros(len(starts), int) if state is None else np.where(starts, 0, state)
    push = (observations[:, 2] > 0).astype(int)
    return np.where(counts % 7 == 6, 1 - push, push), counts + 1


def plain_loop(env: gym.Env, policy: Any, seeds: list[int]) -> list[Episode]:
    """One environment, one episode after the other."""
    episodes = []
    for seed in seeds:
        observation, _ = env.reset(seed=seed)
        seen, actions, rewards, state, done = [observation], [], [], None, False
        while not done:
            action, state = policy(np.stack([seen[-1]]), state, np.array([len(seen) == 1]))
            observation, reward, terminated, truncated, _ = env.step(action[0])
            seen, actions, rewards = [*seen, observation], [*actions, action[0]], [*rewards, float(reward)]
            done = terminated or truncated
        stacked = np.array(seen, env.observation_space.dtype)
        acted = np.array(actions, env.action_space.dtype)
        episodes.append(Episode(stacked[:-1], acted, np.array(rewards), terminated, truncated, stacked[-1]))
    return episodes


@pytest.mark.parametrize("n_envs", [1, 3, 10])
@pytest.mark.parametrize("amount", [Amount(episodes=7), Amount(steps=300)])
def test_collected_is_what_a_plain_loop_collects(n_envs: int, amount: Amount) -> None:
    found = collect(lambda: make("CartPole-v1"), Behaviour(leaning), amount, seed=4, n_envs=n_envs)
    expected = plain_loop(make("CartPole-v1"), leaning, [episode_seed(4, i) for i in range(len(found))])
    assert_same_episodes(found, expected)
    steps = [len(episode) for episode in found]
    assert len(found) == 7 if amount.episodes else sum(steps[:-1]) < 300 <= sum(steps)
    assert len({len(episode) for episode in found}) > 3


@pytest.mark.parametrize(
    "seen", [VECTOR, IMAGE, spaces.Discrete(4), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)]
)
@pytest.mark.parametrize("acted", [TORQUES, PUSHES, spaces.MultiDiscrete([2, 3])])
def test_every_space_is_recorded_as_it_is(seen: Any, acted: Any) -> None:
    env = RandomSpaces(seen, acted)
    behaviour = random_behaviour(acted, seed=1)
    found = collect(lambda: env, behaviour, Amount(episodes=5), seed=2, n_envs=1)
    again = random_behaviour(acted, seed=1)
    expected = plain_loop(RandomSpaces(seen, acted), again.policy, [episode_seed(2, i) for i in range(5)])
    assert_same_episodes(found, expected)
    assert found[0].observations.dtype == seen.dtype and found[0].actions.dtype == acted.dtype


class Reuses(gym.Env[np.ndarray, int]):
    """Hands out the same array at every step."""

    observation_space, action_space = spaces.Box(0, 10, (1,), np.float32), spaces.Discrete(2)

    def reset(self, **arguments: Any) -> tuple[np.ndarray, dict[str, Any]]:
        self.array = np.zeros(1, np.float32)
        return self.array, {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.array += 1
        return self.array, 0.0, False, bool(self.array[0] == 4), {}


def test_the_recorder_copies_and_forgets_what_is_unfinished() -> None:
    kept: list[Episode] = []
    env = Recorder(Reuses(), kept.append)
    for steps in (2, 4, 4):
        env.reset()
        for _ in range(steps):
            env.step(1)
    assert len(kept) == 2
    for episode in kept:
        npt.assert_array_equal(episode.observations[:, 0], [0, 1, 2, 3])
        assert episode.final_observation == 4 and episode.truncated and not episode.terminated


def test_what_the_behaviour_sees_is_not_what_is_recorded() -> None:
    shapes = set()

    def act(observations: np.ndarray, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        shapes.add(observations.shape[1:])
        npt.assert_array_equal(observations[:, -1] == 1, starts)
        return leaning(observations[:, :4], state, starts)

    behaviour = Behaviour(act, lambda env: FirstStepFlag(PreviousAction(env)))
    found = collect(lambda: make("CartPole-v1"), behaviour, Amount(episodes=3), seed=4, n_envs=1)
    assert shapes == {(7,)}
    assert_same_episodes(found, collect(lambda: make("CartPole-v1"), Behaviour(leaning), Amount(episodes=3), seed=4))


def test_dictionaries_are_stacked_for_the_behaviour() -> None:
    shapes = []

    def act(observations: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
        shapes.append({key: value.shape for key, value in observations.items()})
        return np.zeros(len(starts), int), None

    collect(lambda: RandomSpaces(PUSHES, PUSHES), Behaviour(act, PreviousAction), Amount(episodes=3), n_envs=2)
    assert shapes[0] == {"observation": (2,), "previous_action": (2, 3)}


@pytest.mark.parametrize(
    ("make_env", "message"),
    [
        (Breaks, "episode 0: observations: expected finite numbers, got NaN"),
        (partial(Breaks, "reward"), "episode 0: rewards: expected finite numbers, got NaN"),
        (lambda: RandomSpaces(spaces.Dict(a=PUSHES), PUSHES), "observations: expected a space of Box, Discrete"),
        (lambda: RandomSpaces(VECTOR, spaces.Tuple([PUSHES])), "actions: expected a space of Box, Discrete"),
    ],
)
def test_what_no_dataset_can_hold_is_told(make_env: Callable[[], gym.Env], message: str) -> None:
    make_limited = lambda: gym.wrappers.TimeLimit(make_env(), 8)  # noqa: E731
    still = Behaviour(lambda observations, state, starts: (np.zeros(len(starts), int), None))
    with pytest.raises(DatasetError, match=message):
        collect(make_limited, still, Amount(episodes=2))


def test_amounts() -> None:
    for wrong in ({}, {"episodes": 1, "steps": 1}, {"episodes": 0}, {"steps": -1}):
        with pytest.raises(DatasetError, match="positive number of either episodes or steps"):
            Amount(**wrong)
    assert Amount(episodes=5).half == Amount(episodes=3) and Amount(steps=10).half == Amount(steps=5)
    counted: list[int] = []
    found = collect(lambda: make("CartPole-v1"), Behaviour(leaning), Amount(episodes=4), on_steps=counted.append)
    assert sum(counted) == sum(len(episode) for episode in found)


def test_random_play_is_uniform_and_repeats_with_the_seed() -> None:
    def play(seed: int) -> np.ndarray:
        behaviour = random_behaviour(spaces.Discrete(2), seed)
        episodes = collect(lambda: make("CartPole-v1"), behaviour, Amount(steps=2000))
        return np.concatenate([episode.actions for episode in episodes])

    first = play(0)
    assert abs(first.mean() - 0.5) < 5 * 0.5 / np.sqrt(len(first))
    npt.assert_array_equal(first, play(0))
    assert not np.array_equal(first[:50], play(1)[:50])


SCRIPTED = ["TMazePassive-10", "TMazeActive-10", "RepeatFirstEasy", "RepeatPreviousEasy", "RepeatPreviousMedium"]


@pytest.mark.parametrize("env_id", SCRIPTED)
def test_scripted_behaviours_are_perfect(env_id: str) -> None:
    if env_id.startswith("Repeat"):
        pytest.importorskip("popgym")
    behaviour = scripted_behaviour(make(env_id))
    assert behaviour is not None
    found = collect(lambda: make(env_id), behaviour, Amount(episodes=12), n_envs=5)
    npt.assert_allclose([episode.total_reward for episode in found], 1.0, atol=1e-9)


@pytest.mark.parametrize("corridor", [1, 90, 480])
@pytest.mark.parametrize("active", [False, True])
def test_any_corridor_is_mastered(corridor: int, active: bool) -> None:
    behaviour = scripted_behaviour(TMaze(corridor, active))
    assert behaviour is not None
    found = collect(lambda: TMaze(corridor, active), behaviour, Amount(episodes=6))
    assert [episode.total_reward for episode in found] == [1.0] * 6
    assert {float(episode.final_observation[1]) for episode in found if episode.final_observation is not None} == {
        -1,
        1,
    }


def test_nothing_is_written_down_for_other_tasks() -> None:
    assert scripted_behaviour(make("CartPole-v1")) is None


def test_mixed_quality_is_drawn_for_each_episode() -> None:
    env, episodes = TMaze(20), 400
    good = scripted_behaviour(env)
    assert good is not None
    for quality in (0.0, 0.3, 1.0):
        behaviour = mixed_behaviour(good, env.action_space, quality, seed=1)
        found = collect(lambda: TMaze(20), behaviour, Amount(episodes=episodes), seed=2)
        perfect = np.array([episode.total_reward == 1.0 for episode in found])
        assert abs(perfect.mean() - quality) <= 4 * np.sqrt(quality * (1 - quality) / episodes)
        # The others never go straight to the junction, as they would if only some of their steps were random.
        right = [float((episode.actions == 0).mean()) for episode, good in zip(found, perfect, strict=True) if not good]
        assert quality == 1.0 or abs(np.mean(right) - 0.25) < 0.03
    with pytest.raises(ValueError, match=r"from 0 to 1, got 1\.5"):
        mixed_behaviour(good, env.action_space, 1.5)


def test_mixed_continuous_actions_keep_their_shape_and_dtype() -> None:
    still = Behaviour(lambda observations, state, starts: (np.full((len(starts), 2), 0.5, np.float32), None))
    behaviour = mixed_behaviour(still, TORQUES, 0.5, seed=0)
    found = collect(lambda: RandomSpaces(VECTOR, TORQUES), behaviour, Amount(episodes=40))
    constant = [bool((episode.actions == 0.5).all()) for episode in found]
    assert 5 < sum(constant) < 35 and found[0].actions.dtype == np.float32


def is_masked(env_id: str) -> bool:
    """By the row of the table: a Gymnasium environment with nothing but values removed."""
    names = {wrapper.name for wrapper in TASKS[env_id].wrappers}
    return ":" not in TASKS[env_id].base and names in ({"MaskObservation"}, {"StatePart"})


# One of each kind: by indices, by indices of a package, by parts of the state.
MASKED = ["CartPole-POMDP-v0", "LunarLander-POMDP-v0", "Hopper-P-v0", "HalfCheetah-V-v0"]


def test_exactly_the_tasks_with_hidden_values_have_a_mask() -> None:
    for env_id in TASKS:
        try:
            assert (mask_of(env_id) is not None) == is_masked(env_id), env_id
        except DependencyNotInstalled:
            pass
    for env_id in ("CartPole-v1", "CartPole-MDP", "CartPole-Flicker", "CartPole-StopAndResume", "TMazePassive-10"):
        assert mask_of(env_id) is None, env_id


@pytest.mark.parametrize("env_id", MASKED)
def test_a_masked_episode_is_what_the_masked_task_shows(env_id: str) -> None:
    try:
        masked, mask = make(env_id), mask_of(env_id)
    except DependencyNotInstalled as error:
        pytest.skip(str(error))
    assert mask is not None and mask.plain_id == TASKS[env_id].base
    plain = make(mask.plain_id)
    found = collect(lambda: plain, random_behaviour(plain.action_space, 1), Amount(episodes=1), seed=5, n_envs=1)
    episode = mask.apply(found[0])
    observation, _ = masked.reset(seed=episode_seed(5, 0))
    seen = [observation]
    for action in episode.actions:
        observation, *_ = masked.step(action)
        seen.append(observation)
    npt.assert_array_equal(np.stack(seen[:-1]), episode.observations, strict=True)
    npt.assert_array_equal(seen[-1], np.asarray(episode.final_observation), strict=True)
    assert mask.observation_space == masked.observation_space
    assert isinstance(mask.wrap(make(mask.plain_id)), MaskObservation)
    assert mask.wrap(make(mask.plain_id)).observation_space == masked.observation_space
    assert episode.rewards is found[0].rewards
    assert len(mask.hidden) + len(mask.visible) == found[0].observations.shape[1]
    Dataset("masked", Columns.of([episode]), mask.observation_space, plain.action_space)
