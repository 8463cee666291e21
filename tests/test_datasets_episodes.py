"""Episodes, datasets and their scores: what they refuse, and numbers redone by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
from gymnasium import spaces

from rl_larnn.envs import make
from rl_larnn.envs.datasets import (
    D4RL_LOCOMOTION,
    Columns,
    Dataset,
    DatasetError,
    Episode,
    References,
    ReturnRange,
    best_episodes,
    check_environment_fits,
    normalized_score,
    returns_to_go,
    target_range,
    target_warning,
)
from rl_larnn.envs.datasets.scores import d4rl_locomotion
from tests.dataset_cases import PUSHES, TORQUES, VECTOR, assert_same_episodes, random_dataset, random_episode

WHOLE = {
    "observations": np.zeros((4, 3), np.float32),
    "actions": np.zeros((4, 2), np.float32),
    "rewards": np.ones(4, np.float32),
    "terminated": True,
    "truncated": False,
    "final_observation": np.zeros(3, np.float32),
}


def with_nan(shape: tuple[int, ...], at: int) -> np.ndarray:
    array = np.zeros(shape, np.float32)
    array[at] = np.nan
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": np.zeros(0)}, "rewards: expected shape (T,) with at least one step, got (0,)"),
        ({"rewards": np.zeros((4, 1))}, "rewards: expected shape (T,) with at least one step, got (4, 1)"),
        ({"actions": np.zeros((5, 2))}, "actions: expected shape (4, ...), one row for each reward, got (5, 2)"),
        ({"observations": np.zeros((5, 3))}, "observations: expected shape (4, ...), one row for each reward"),
        ({"observations": np.float32(1)}, "observations: expected shape (4, ...), one row for each reward, got ()"),
        ({"actions": np.array(["a"] * 4)}, "actions: expected numbers, got dtype <U1 of shape (4,)"),
        ({"observations": [[1], [1, 2], [3], [4]]}, "observations: expected an array of numbers, got rows of differ"),
        ({"observations": with_nan((4, 3), 2)}, "observations: expected finite numbers, got NaN or infinity at step 2"),
        ({"rewards": with_nan((4,), 3)}, "rewards: expected finite numbers, got NaN or infinity at step 3 of (4,)"),
        ({"actions": np.full((4, 2), np.inf)}, "actions: expected finite numbers, got NaN or infinity at step 0"),
        ({"final_observation": np.zeros(2)}, "final_observation: expected shape (3,) like the others, got (2,)"),
        ({"final_observation": with_nan((3,), 1)}, "final_observation: expected finite numbers"),
    ],
)
def test_an_episode_refuses_what_is_none(changes: dict[str, Any], message: str) -> None:
    Episode(**WHOLE)
    with pytest.raises(DatasetError) as caught:
        Episode(**{**WHOLE, **changes})
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_episode_is_frozen_and_adds_up_in_double_precision() -> None:
    episode = Episode(**{**WHOLE, "rewards": np.array([1e8, 1, 1, 1], np.float32)})
    assert len(episode) == 4 and episode.total_reward == 1e8 + 3
    assert episode.terminated is True and episode.truncated is False
    with pytest.raises(AttributeError):
        episode.rewards = np.zeros(4)  # type: ignore[misc]


def test_columns_and_episodes_are_two_views_of_the_same() -> None:
    generator = np.random.default_rng(0)
    episodes = [random_episode(steps, generator, terminated=steps > 2) for steps in (3, 1, 7, 2)]
    dataset = Dataset("set", Columns.of(episodes), VECTOR, TORQUES)
    assert_same_episodes(dataset.episodes, episodes)
    assert_same_episodes(dataset.episodes[1:3], episodes[1:3])
    assert_same_episodes([dataset.episodes[-1]], episodes[-1:])
    with pytest.raises(IndexError):
        dataset.episodes[4]
    assert np.shares_memory(dataset.episodes[2].observations, dataset.columns.observations)
    assert dataset.steps == 13 and dataset.columns.offsets.tolist() == [0, 3, 4, 11]
    npt.assert_allclose(dataset.returns, [episode.total_reward for episode in episodes], rtol=1e-12)
    unknown = Episode(episodes[0].observations, episodes[0].actions, episodes[0].rewards, True, False)
    assert Columns.of([*episodes, unknown]).final_observations is None


def test_episodes_of_different_forms_are_refused() -> None:
    generator = np.random.default_rng(0)
    first, wide = random_episode(2, generator), random_episode(2, generator, spaces.Box(-1, 1, (4,), np.float32))
    with pytest.raises(DatasetError, match=r"episode 1: observations: expected shape \(T, 3\) of float32"):
        Columns.of([first, wide])
    fine = random_episode(2, generator, spaces.Box(-1, 1, (3,), np.float64))
    with pytest.raises(
        DatasetError, match=r"episode 1: observations: .* of float32 as in episode 0, got .* of float64"
    ):
        Columns.of([first, fine])
    with pytest.raises(DatasetError, match="at least one whole episode"):
        Columns.of([])
    columns = Columns.of([first, first])
    with pytest.raises(DatasetError, match=r"actions: expected shape \(4, ...\), got \(3, 2\)"):
        Columns(**{**{name: getattr(columns, name) for name in columns.names}, "actions": columns.actions[:3]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation_space": spaces.Dict(a=VECTOR)}, "observations: expected a space of Box, Discrete"),
        ({"action_space": spaces.Tuple([PUSHES])}, "actions: expected a space of Box, Discrete"),
        ({"observation_space": TORQUES}, "observations: expected shape (N, 2) of float32 for Box"),
        ({"action_space": PUSHES}, "actions: expected shape (N) of int64 for Discrete(3), got (5, 2) of float32"),
        ({"observation_space": spaces.Box(-1, 1, (3,), np.float64)}, "expected shape (N, 3) of float64"),
    ],
)
def test_a_dataset_refuses_what_its_spaces_don_t_hold(changes: dict[str, Any], message: str) -> None:
    columns = random_dataset([2, 3]).columns
    with pytest.raises(DatasetError) as caught:
        Dataset(**{"name": "set", "columns": columns, "observation_space": VECTOR, "action_space": TORQUES, **changes})
    assert str(caught.value).startswith("set: ") and message in str(caught.value)


def test_check_names_the_episode() -> None:
    dataset = random_dataset([2, 3, 4], action_space=PUSHES)
    assert dataset.check() is dataset
    dataset.columns.observations[3, 1] = np.nan
    with pytest.raises(DatasetError, match=r"random, episode 1: observations: expected finite numbers.* at step 1 of"):
        dataset.check()
    dataset.columns.observations[3, 1] = 0
    for wrong in (3, -1):
        dataset.columns.actions[7] = wrong
        with pytest.raises(
            DatasetError, match=rf"episode 2: actions: expected choices of Discrete\(3\), got {wrong} at"
        ):
            dataset.check()


@pytest.mark.parametrize(
    ("space", "right", "wrong"),
    [
        (spaces.Discrete(2, start=5), 5, 4),
        (spaces.MultiDiscrete([2, 3]), [1, 2], [2, 2]),
        (spaces.MultiBinary(2), [1, 0], [2, 0]),
    ],
)
def test_choices_are_checked_against_their_space(space: Any, right: Any, wrong: Any) -> None:
    for value, good in ((right, True), (wrong, False)):
        actions = np.array([value] * 2).astype(space.dtype)
        episode = Episode(np.zeros((2, 3), np.float32), actions, np.zeros(2), True, False)
        dataset = Dataset("set", Columns.of([episode]), VECTOR, space)
        if good:
            dataset.check()
        else:
            with pytest.raises(DatasetError, match="expected choices of"):
                dataset.check()


def test_return_to_go_includes_the_reward_of_its_step() -> None:
    npt.assert_array_equal(returns_to_go(np.array([1.0, 2.0, 3.0])), [6.0, 5.0, 3.0])
    npt.assert_array_equal(returns_to_go(np.array([0.0, 0.0, 1.0])), [1.0, 1.0, 1.0])
    npt.assert_array_equal(returns_to_go(np.array([-1.0, 4.0, -1.0, -2.0])), [0.0, 1.0, -3.0, -2.0])
    generator = np.random.default_rng(0)
    episodes = [random_episode(steps, generator) for steps in (3, 1, 5)]
    dataset = Dataset("set", Columns.of(episodes), VECTOR, TORQUES)
    expected = [sum(episode.rewards[t:].tolist()) for episode in episodes for t in range(len(episode))]
    npt.assert_allclose(dataset.columns.returns_to_go, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "score"),
    [
        ("hopper-medium-v2", -20.272305, 0.0),
        ("hopper-medium-v2", 3234.3, 100.0),
        ("hopper_medium_replay-v2", 1607.0138475, 50.0),  # half way: (3234.3 - 20.272305) / 2
        ("halfcheetah-medium-expert-v2", 5927.4105235, 50.0),  # (12135 - 280.178953) / 2
        ("walker2d-expert-v2", 3444.632252, 75.0),  # 1.629008 + 0.75 * 4590.670992
        ("Ant-random-v0", -746.13, -10.0),  # -325.6 - 0.1 * 4205.3
    ],
)
def test_d4rl_scores_by_hand(name: str, value: float, score: float) -> None:
    known = d4rl_locomotion(name)
    assert known is not None
    npt.assert_allclose(normalized_score(value, *known.references), score, atol=1e-9)


def test_scores_keep_their_shape_and_refuse_an_empty_scale() -> None:
    npt.assert_allclose(normalized_score(np.array([[0.0, 30.0]]), 10.0, 20.0), [[-100.0, 200.0]])
    for maximum in (10.0, 5.0, float("nan")):
        with pytest.raises(DatasetError, match="maximum reference above the minimum"):
            normalized_score(1.0, 10.0, maximum)
    assert d4rl_locomotion("antmaze-medium-play-v2") is None and d4rl_locomotion("hopper-v5") is None
    assert set(D4RL_LOCOMOTION) == {"halfcheetah", "hopper", "walker2d", "ant"}
    dataset = random_dataset([2])
    with pytest.raises(DatasetError, match="random has no reference returns"):
        dataset.normalized_score(1.0)
    assert random_dataset([2], references=References(0, 4)).normalized_score(1.0) == 25.0


def returning(totals: list[float], lengths: list[int]) -> Dataset:
    episodes = [
        Episode(np.full((steps, 3), total, np.float32), np.zeros((steps, 2), np.float32), rewards, True, False)
        for total, steps in zip(totals, lengths, strict=True)
        for rewards in [np.r_[np.zeros(steps - 1), total]]
    ]
    return Dataset("returning", Columns.of(episodes), VECTOR, TORQUES)


def test_the_best_share_is_one_of_steps() -> None:
    # By return: 9 (10 steps), 8 (10), 7 (50), 1 (30); 100 steps in all.
    dataset = returning([7, 9, 1, 8], [50, 10, 30, 10])
    for share, kept in {
        0.01: [9],
        0.1: [9],
        0.19: [9],
        0.2: [9, 8],
        0.69: [9, 8],
        0.7: [7, 9, 8],
        1.0: [7, 9, 1, 8],
    }.items():
        assert best_episodes(dataset, share).returns.tolist() == kept, share
    for share in (0.0, 1.1, -1.0):
        with pytest.raises(DatasetError, match="share above 0"):
            best_episodes(dataset, share)
    assert_same_episodes(best_episodes(dataset, 0.7).episodes, [dataset.episodes[i] for i in (0, 1, 3)], final=False)


def test_references_have_to_be_a_scale() -> None:
    assert random_dataset([3], references=References(0, 1)).check()
    for highest in (0, -1, np.nan):
        with pytest.raises(DatasetError, match="random: expected a maximum reference above the minimum, got 0 and"):
            random_dataset([3], references=References(0, highest)).check()


def test_a_fingerprint_is_of_the_content() -> None:
    one = random_dataset([3, 4], seed=0)
    assert one.fingerprint == random_dataset([3, 4], seed=0, references=References(0, 1)).fingerprint
    others = [random_dataset([4, 3], seed=0), random_dataset([3, 4], seed=1)]
    assert one.fingerprint not in {other.fingerprint for other in others}


def test_an_environment_has_to_fit() -> None:
    env = make("CartPole-v1")
    dataset = random_dataset([3], observation_space=env.observation_space, action_space=env.action_space)
    check_environment_fits(dataset, env.observation_space, env.action_space, "CartPole-v1")
    bounds = spaces.Box(-1, 1, (4,), np.float64)
    check_environment_fits(dataset, bounds, env.action_space, "with other bounds and precision")
    with pytest.raises(
        DatasetError, match=r"CartPole-POMDP doesn't fit .*random: expected observations of Box\(.*\(4,\)"
    ):
        check_environment_fits(dataset, spaces.Box(-1, 1, (2,)), env.action_space, "CartPole-POMDP")
    with pytest.raises(DatasetError, match=r"expected actions of Discrete\(2\), got Discrete\(3\)"):
        check_environment_fits(dataset, env.observation_space, spaces.Discrete(3), "MountainCar")
    continuous = random_dataset([3])
    check_environment_fits(continuous, VECTOR, TORQUES, "same")
    with pytest.raises(DatasetError, match="expected actions of Box"):
        check_environment_fits(continuous, VECTOR, spaces.Box(-2, 2, (2,)), "stronger motors")
    with pytest.raises(DatasetError, match="expected observations of Box"):
        check_environment_fits(continuous, spaces.Discrete(3), TORQUES, "whole numbers")
    with pytest.raises(DatasetError, match="expected observations of Box"):
        check_environment_fits(continuous, spaces.Box(0, 255, (3,), np.uint8), TORQUES, "bytes")


def test_a_far_target_is_told_with_the_range() -> None:
    returns = ReturnRange.of(returning([0, 10], [2, 2]))
    assert returns == (0, 5, 10) and target_range(returns) == (-5.0, 15.0)
    assert target_warning("mine", returns, 15.0) is None and target_warning("mine", returns, -5.0) is None
    warning = target_warning("mine", returns, 15.1)
    assert warning is not None and "target return 15.1" in warning
    assert "of mine, whose episodes return 0 to 10 (mean 5)" in warning
    assert target_warning("mine", returns, -5.1) is not None
    same = ReturnRange.of(returning([500, 500], [2, 2]))
    assert target_warning("mine", same, 540) is None and target_warning("mine", same, 560) is not None
