"""The reader of D4RL's files, on small ones in their layout."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs.datasets import (
    D4RL_LOCOMOTION,
    DatasetError,
    References,
    load_d4rl,
    load_dataset,
    with_spaces_of,
)
from tests.dataset_cases import (
    PUSHES,
    TORQUES,
    VECTOR,
    assert_same_episodes,
    random_dataset,
    random_episode,
    some_episodes,
    write_d4rl,
)


def test_a_locomotion_file_brings_its_references_and_spaces(tmp_path: Path) -> None:
    path = write_d4rl(tmp_path / "hopper_medium_replay-v2.hdf5", some_episodes([3, 2]))
    dataset = load_dataset(str(path))
    assert dataset.references == References(-20.272305, 3234.3) and dataset.env_id == "Hopper-v4"
    assert dataset.observation_space == VECTOR and dataset.action_space == TORQUES
    unknown = load_dataset(path.rename(tmp_path / "mine.h5"))
    assert unknown.references is None and unknown.env_id is None
    wild = write_d4rl(tmp_path / "wild.hdf5", some_episodes([3]), actions=np.full((3, 2), 3, np.float32))
    assert load_d4rl(wild).action_space == spaces.Box(-np.inf, np.inf, (2,), np.float32)
    bounds = spaces.Box(-4, 4, (2,), np.float32)
    assert load_d4rl(wild, action_space=bounds).action_space == bounds


@pytest.mark.parametrize("name", D4RL_LOCOMOTION)
def test_a_locomotion_environment_has_the_shapes_of_the_files(name: str) -> None:
    """Sizes of observations and actions in D4RL's v2 files."""
    pytest.importorskip("mujoco")
    sizes = {"halfcheetah": (17, 6), "hopper": (11, 3), "walker2d": (17, 6), "ant": (111, 8)}
    known = D4RL_LOCOMOTION[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about versions
        env = gym.make(known.env_id, **known.env_kwargs)
    assert (*env.observation_space.shape, *env.action_space.shape) == sizes[name]  # type: ignore[misc]
    assert env.spec is not None and env.spec.max_episode_steps == known.max_episode_steps
    env.close()


def test_guessed_spaces_give_way_to_those_of_an_environment(tmp_path: Path) -> None:
    """The last choice was never taken, and one action is a rounding error out of bounds."""
    file = write_d4rl(tmp_path / "a.hdf5", some_episodes([4, 4], 0, VECTOR, PUSHES), actions=np.array([0, 1] * 4))
    guessed = load_d4rl(file)
    assert guessed.action_space == spaces.Discrete(2)
    assert with_spaces_of(guessed, VECTOR, spaces.Discrete(3)).action_space == spaces.Discrete(3)
    assert with_spaces_of(guessed, VECTOR, spaces.Discrete(1)).action_space == spaces.Discrete(2)
    several = write_d4rl(tmp_path / "b.hdf5", some_episodes([4]), actions=np.array([[0, 1]] * 4))
    wanted = spaces.MultiDiscrete([3, 2])
    assert with_spaces_of(load_d4rl(several), VECTOR, wanted).action_space == wanted
    fewer = spaces.MultiDiscrete([3, 1])
    assert with_spaces_of(load_d4rl(several), VECTOR, fewer).action_space == spaces.MultiDiscrete([1, 2])
    beyond = write_d4rl(tmp_path / "c.hdf5", some_episodes([4]), actions=np.full((4, 2), 1 + 1e-6, np.float32))
    torques = spaces.Box(-1, 1, (2,), np.float64)
    found = with_spaces_of(load_d4rl(beyond), spaces.Box(-5, 5, (3,), np.float64), torques)
    assert (found.action_space, found.observation_space) == (TORQUES, spaces.Box(-5, 5, (3,), np.float32))
    assert with_spaces_of(load_d4rl(beyond), VECTOR, spaces.Box(-1, 1, (3,))).action_space.shape == (2,)
    named = random_dataset([3], action_space=PUSHES)
    assert with_spaces_of(named, VECTOR, spaces.Discrete(9)) is named


def test_columns_of_width_one_and_numbers_for_flags(tmp_path: Path) -> None:
    episodes = some_episodes([3, 2])
    plain = load_d4rl(write_d4rl(tmp_path / "plain.hdf5", episodes))
    flags = {key: np.zeros((5, 1), np.float32) for key in ("terminals", "timeouts")}
    for episode, end in zip(episodes, (2, 4), strict=True):
        flags["terminals" if episode.terminated else "timeouts"][end] = 1
    rewards = np.concatenate([episode.rewards for episode in episodes]).astype(np.float32)[:, None]
    wide = load_d4rl(write_d4rl(tmp_path / "wide.hdf5", episodes, rewards=rewards, **flags))
    assert_same_episodes(wide.episodes, plain.episodes, final=False)
    line = load_d4rl(write_d4rl(tmp_path / "line.hdf5", episodes, actions=np.zeros(5, np.float32)))
    assert line.action_space.shape == (1,)


@given(
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    tail=st.integers(0, 7),
    limit=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_without_timeouts_episodes_are_cut_at_the_limit(lengths: list[int], tail: int, limit: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    episodes = [random_episode(steps, generator) for steps in lengths]
    terminals = np.concatenate([*(np.arange(n) == n - 1 for n in lengths), np.zeros(tail, bool)])
    # Step by step: an episode ends at a terminal, or when it has reached the limit.
    expected, steps = [], 0
    for terminal in terminals:
        steps += 1
        if terminal or steps == limit:
            expected.append((steps, bool(terminal)))
            steps = 0
    with tempfile.TemporaryDirectory() as folder:
        path = write_d4rl(Path(folder) / "old.hdf5", episodes, tail, timeouts=None)
        dataset = load_d4rl(path, max_episode_steps=limit)
    assert [(len(e), e.terminated) for e in dataset.episodes] == expected
    assert all(e.truncated != e.terminated for e in dataset.episodes)
    assert dataset.metadata["dropped_steps"] == steps


def test_old_files_of_locomotion_know_their_limit_and_others_are_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    path = write_d4rl(tmp_path / "walker2d-random-v0.hdf5", [random_episode(1500, generator)], timeouts=None)
    assert [len(e) for e in load_d4rl(path).episodes] == [1000, 500]
    with pytest.raises(DatasetError, match=r"missing key timeouts \(N,\): .* pass max_episode_steps"):
        load_d4rl(path.rename(tmp_path / "other.hdf5"))


NAN = np.zeros((5, 3), np.float32)
NAN[3] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": None}, "missing key rewards: expected observations (N, ...), actions (N, ...), rewards (N,)"),
        ({"observations": None, "terminals": None}, "missing key observations, terminals: expected"),
        ({"actions": np.zeros((4, 2))}, "actions: expected shape (5, ...) like the rewards, got (4, 2)"),
        ({"terminals": np.zeros(6, bool)}, "terminals: expected shape (5,) like the rewards, got (6,)"),
        ({"timeouts": np.zeros((5, 2), bool)}, "timeouts: expected shape (5,) like the rewards, got (5, 2)"),
        ({"rewards": np.zeros((5, 2))}, "rewards: expected shape (N,) with at least one step, got (5, 2)"),
        ({"observations": np.float32(1)}, "observations: expected shape (5, ...) like the rewards, got ()"),
        ({"next_observations": np.zeros((5, 4))}, "next_observations: expected shape (5, 3), got (5, 4)"),
        (
            {"observations": NAN},
            "episode 1: observations: expected finite numbers, got NaN or infinity at step 0 of (2",
        ),
        ({"rewards": NAN[:, 0]}, "episode 1: rewards: expected finite numbers, got NaN or infinity at step 0 of (2,)"),
        (
            {"rewards": np.array([0, 0, 0, -1e200, 0])},
            "episode 1: rewards: expected numbers that 32 bits can hold, up to 3.4e+38, got 1.0e+200",
        ),
        ({"terminals": np.full(5, 2)}, "terminals: expected truth values, 0 or 1, got others in shape (5,)"),
        ({"actions": np.array([b"a"] * 5)}, "actions: expected numbers, got dtype |S1 of shape (5,)"),
        (
            {"actions": np.array([0, 1, -1, 0, 1])},
            "episode 0: actions: expected choices of Discrete(2), got -1 at step 2",
        ),
        ({"actions": np.full(5, -1)}, "actions: expected whole numbers from 0 up, got at most -1"),
        ({"observations": np.array([[0, -2]] * 5)}, "observations: expected whole numbers from 0 up, got at most -2"),
        ({"terminals": np.zeros(5), "timeouts": np.zeros(5)}, "expected the end of at least one episode, got 5 steps"),
    ],
)
def test_a_wrong_file_is_told_with_key_and_shape(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_d4rl(tmp_path / "wrong.hdf5", some_episodes([3, 2]), **changes)
    with pytest.raises(DatasetError) as caught:
        load_dataset(path)
    text = str(caught.value)
    assert text.startswith(str(path)) and message in text and "\n" not in text


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = write_d4rl(tmp_path / "cut.hdf5", some_episodes([400]))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DatasetError, match="expected a whole HDF5 file with observations"):
        load_dataset(path)
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DatasetError, match="expected a whole HDF5 file"):
        load_dataset(tmp_path / "text.h5")
    with pytest.raises(DatasetError, match=r"nowhere\.hdf5: no such file; expected an HDF5 file with observations"):
        load_dataset(tmp_path / "nowhere.hdf5")
    with h5py.File(tmp_path / "groups.h5", "w") as file:
        for key in ("observations", "actions", "rewards", "terminals"):
            file.create_group(key)
    with pytest.raises(DatasetError, match="missing key observations, actions, rewards, terminals"):
        load_dataset(tmp_path / "groups.h5")
