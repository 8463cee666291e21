"""The readers of D4RL's files and of Minari's store: the same episodes from the same content, and clear errors."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import numpy.testing as npt
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs.datasets import (
    D4RL_LOCOMOTION,
    Dataset,
    DatasetError,
    Episode,
    References,
    load_d4rl,
    load_dataset,
    local_ids,
    read_minari,
    refuse_existing,
    store_minari,
    with_spaces_of,
)
from tests.dataset_cases import (
    IMAGE,
    PUSHES,
    TORQUES,
    VECTOR,
    assert_same_episodes,
    random_dataset,
    random_episode,
    store_in,
    write_d4rl,
    write_minari,
)

SPACES = {
    "vectors": (VECTOR, TORQUES),
    "images": (IMAGE, TORQUES),
    "choices": (spaces.Discrete(5), PUSHES),
    "double": (spaces.Box(-np.inf, np.inf, (2,), np.float64), PUSHES),
}


def some_episodes(
    lengths: list[int], seed: int = 0, observation_space: Any = VECTOR, action_space: Any = TORQUES
) -> list[Episode]:
    generator = np.random.default_rng(seed)
    return [
        random_episode(steps, generator, observation_space, action_space, terminated=bool(generator.random() < 0.5))
        for steps in lengths
    ]


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    kind=st.sampled_from(sorted(SPACES)),
    tail=st.integers(0, 4),
    following=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_identical_content_gives_identical_episodes(
    lengths: list[int], kind: str, tail: int, following: bool, seed: int
) -> None:
    seen, acted = SPACES[kind]
    episodes = some_episodes(lengths, seed, seen, acted)
    with tempfile.TemporaryDirectory() as folder, store_in(Path(folder) / "store"):
        write_minari("test/content-v0", episodes, seen, acted)
        file = write_d4rl(Path(folder) / "content.hdf5", episodes, tail, following)
        from_minari, from_d4rl = load_dataset("test/content-v0"), load_dataset(file)
    assert_same_episodes(from_minari.episodes, episodes)
    assert_same_episodes(from_d4rl.episodes, from_minari.episodes, final=following)
    npt.assert_array_equal(from_d4rl.returns, from_minari.returns, strict=True)
    assert from_d4rl.metadata["dropped_steps"] == tail
    assert (from_d4rl.columns.final_observations is not None) == following
    assert (from_minari.observation_space, from_minari.action_space) == (seen, acted)


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
        ({"terminals": np.full(5, 2)}, "terminals: expected truth values, 0 or 1, got others in shape (5,)"),
        ({"actions": np.array([b"a"] * 5)}, "actions: expected numbers, got dtype |S1 of shape (5,)"),
        (
            {"actions": np.array([0, 1, -1, 0, 1])},
            "episode 0: actions: expected choices of Discrete(2), got -1 at step 2",
        ),
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


@pytest.mark.parametrize("kind", sorted(SPACES))
def test_what_is_stored_comes_back(store: Path, kind: str) -> None:
    seen, acted = SPACES[kind]
    dataset = random_dataset(
        [3, 1, 4],
        0,
        seen,
        acted,
        references=References(-1.5, 10.0),
        env_id="CartPole-v1",
        env_kwargs={"sutton_barto_reward": True},
        metadata={"algorithm_name": "PPO", "description": "three episodes", "level": "expert", "list": [1, None]},
    )
    folder = store_minari(dataset, "CartPole/kept-v3", seeds=[5, 6, 7])
    assert folder == store / "CartPole" / "kept-v3" and local_ids() == ["CartPole/kept-v3"]
    for name in ("CartPole/kept-v3", "CartPole/kept"):
        found = load_dataset(name)
        assert_same_episodes(found.episodes, dataset.episodes)
        for key in ("observation_space", "action_space", "references", "env_id", "env_kwargs", "metadata"):
            assert getattr(found, key) == getattr(dataset, key), key
    assert found.name == "CartPole/kept-v3"


def test_minari_itself_understands_what_is_stored(store: Path) -> None:
    env_id, references = "CartPole-POMDP-v0", References(20.0, 500.0)
    dataset = random_dataset([3], 0, spaces.Box(-1, 1, (2,)), spaces.Discrete(2), references=references, env_id=env_id)
    store_minari(dataset, "CartPole-POMDP/kept-v0", seeds=[5])
    theirs = minari.load_dataset("CartPole-POMDP/kept-v0")
    env = theirs.recover_environment()
    assert env.spec is not None and env.spec.id == env_id and env.observation_space.shape == (2,)
    npt.assert_allclose(minari.get_normalized_score(theirs, np.array([140.0])), 0.25)
    assert (theirs.total_steps, theirs.total_episodes) == (3, 1)
    assert next(iter(theirs.storage.get_episode_metadata([0])))["seed"] == 5
    assert minari.namespace.list_local_namespaces() == ["CartPole-POMDP"]


def test_the_environment_is_recovered_with_its_arguments(store: Path) -> None:
    about = {"env_id": "TMazePassive-10-v0", "env_kwargs": {"corridor": 7}}
    store_minari(random_dataset([3], 0, spaces.Box(-1, 1, (2,)), spaces.Discrete(4), **about), "TMaze/kept-v0")
    theirs = minari.load_dataset("TMaze/kept-v0")
    assert theirs.recover_environment().unwrapped.corridor == 7
    assert load_dataset("TMaze/kept").env_kwargs == {"corridor": 7}


def test_an_environment_of_another_package_is_kept(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mazes_of_mine.py").write_text(
        "from gymnasium.envs.registration import register\n"
        "register('Mine-v0', entry_point='rl_larnn.envs.tasks.tmaze:TMaze', kwargs={'corridor': 3})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    about = {"env_id": "mazes_of_mine:Mine-v0", "env_kwargs": {"corridor": 9}}
    store_minari(random_dataset([3], 0, spaces.Box(-1, 1, (2,)), spaces.Discrete(4), **about), "Mine/kept-v0")
    found = load_dataset("Mine/kept")
    assert (found.env_id, found.env_kwargs) == ("mazes_of_mine:Mine-v0", {"corridor": 9})
    assert minari.load_dataset("Mine/kept-v0").env_spec.id == "Mine-v0"
    del gym.registry["Mine-v0"]


def test_a_download_needs_a_version(store: Path) -> None:
    with pytest.raises(DatasetError, match=r"its version to download it, such as mujoco/hopper/expert-v0, got"):
        load_dataset("mujoco/hopper/expert", download=True)


def test_jax_is_not_needed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jax", None)
    store_minari(random_dataset([2]), "test/a-v0")
    assert load_dataset("test/a").steps == 2


def test_a_dataset_is_never_overwritten(store: Path) -> None:
    store_minari(random_dataset([2]), "test/a-v0")
    store_minari(random_dataset([2]), "test/a-v1")
    with pytest.raises(DatasetError, match=r"test/a-v0 exists already and is never overwritten: .* a-v2, or remove it"):
        store_minari(random_dataset([9]), "test/a-v0")
    assert load_dataset("test/a-v0").steps == 2
    with pytest.raises(DatasetError, match="expected a dataset id with a version, such as test/b-v0, got 'test/b'"):
        refuse_existing("test/b")
    for name in ("test/b c-v0", "", "a/../b-v0"):
        with pytest.raises(DatasetError, match="expected a dataset id such as"):
            refuse_existing(name)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_dataset_is_whole_or_not_there(store: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*arguments: Any, **keywords: Any) -> Any:
        raise error

    monkeypatch.setattr("minari.dataset._storages.hdf5_storage._add_episode_to_group", fail)
    with pytest.raises((DatasetError, KeyboardInterrupt), match=r"No space left|^$"):
        store_minari(random_dataset([2]), "test/a-v0")
    assert [path for path in store.rglob("*") if path.is_file()] == [] and local_ids() == []
    monkeypatch.undo()
    with store_in(store):
        refuse_existing("test/a-v0")


def test_the_last_observation_has_to_be_known(store: Path, tmp_path: Path) -> None:
    dataset = load_d4rl(write_d4rl(tmp_path / "a.hdf5", some_episodes([3])))
    with pytest.raises(DatasetError, match=r"Minari keeps T \+ 1 observations"):
        store_minari(dataset, "test/a-v0")


def test_the_newest_version_is_meant(store: Path) -> None:
    for version in (2, 10, 9):
        store_minari(random_dataset([version]), f"test/a-v{version}")
    assert load_dataset("test/a").name == "test/a-v10" and load_dataset("test/a-v9").steps == 9


def test_an_unknown_name_is_told_with_the_nearest(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("nobody asked for a download")

    monkeypatch.setattr("minari.storage.hosting.download_dataset", offline)
    with pytest.raises(DatasetError) as caught:
        load_dataset("CartPole-POMDP/expert-v0")
    assert f"unknown dataset 'CartPole-POMDP/expert-v0'; {store} holds no datasets" in str(caught.value)
    for name in ("CartPole-POMDP/medium-v0", "CartPole-POMDP/expert-v0", "Hopper-P/random-v0"):
        store_minari(random_dataset([2]), name)
    for name in ("cartpole-pomdp/expart-v0", "CartPole-POMDP/expart"):
        with pytest.raises(DatasetError) as caught:
            load_dataset(name)
        text = str(caught.value)
        assert "the nearest names" in text and text.index("CartPole-POMDP/expert-v0,") < text.index("collect one with")
        assert (
            f"scripts/collect_dataset.py --env {'ENV' if name[0] == 'c' else 'CartPole-POMDP'}," in text
            and "--download" in text
            and "\n" not in text
        )
    with pytest.raises(
        DatasetError, match=r"a dataset of D4RL: pass the path of its file, such as data/hopper-medium-v2"
    ):
        load_dataset("hopper-medium-v2")
    with pytest.raises(DatasetError, match="expected a dataset id such as"):
        load_dataset("what is this?")


def test_a_failed_download_is_told(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def offline(dataset_id: str) -> Any:
        asked.append(dataset_id)
        raise ConnectionError("no network\nhere")

    monkeypatch.setattr("minari.storage.hosting.download_dataset", offline)
    with pytest.raises(DatasetError, match="cannot download the dataset D4RL/door/human-v2: no network here"):
        load_dataset("D4RL/door/human-v2", download=True)
    assert asked == ["D4RL/door/human-v2"]
    store_minari(random_dataset([2]), "test/a-v0")
    assert load_dataset("test/a-v0", download=True).steps == 2 and len(asked) == 1


def damage(file: h5py.File, key: str, value: Any) -> None:
    del file[f"episode_1/{key}"]
    if value is not None:
        file[f"episode_1/{key}"] = value


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("actions", None, "expected observations (T + 1, ...), actions (T, ...), rewards, terminations and trunc"),
        (
            "observations",
            np.zeros((2, 3)),
            "observations: expected shape (3, ...), one more than there are rewards, got",
        ),
        ("actions", np.zeros((3, 2)), "actions: expected shape (2, ...), one row for each reward, got (3, 2)"),
        ("rewards", np.array([0.0, np.nan]), "rewards: expected finite numbers, got NaN or infinity at step 1 of (2,)"),
        ("terminations", np.zeros(3, bool), "terminations: expected shape (2,) like the rewards, got (3,)"),
        (
            "truncations",
            np.array([True, False]),
            "truncations: expected true at most at the last of 2 steps, got it at",
        ),
        ("rewards", np.zeros(0), "rewards: expected shape (T,) with at least one step, got (0,)"),
    ],
)
def test_a_damaged_episode_is_told(store: Path, key: str, value: Any, message: str) -> None:
    folder = store_minari(random_dataset([3, 2]), "test/a-v0")
    with h5py.File(folder / "data" / "main_data.hdf5", "a") as file:
        damage(file, key, value)
    with pytest.raises(DatasetError) as caught:
        load_dataset("test/a-v0")
    assert str(caught.value).startswith("test/a-v0, episode 1: ") and message in str(caught.value)


def test_damaged_metadata_and_data_are_told(store: Path) -> None:
    folder = store_minari(random_dataset([3, 2]), "test/a-v0")
    (folder / "data" / "main_data.hdf5").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="test/a-v0, episode 0: expected observations"):
        load_dataset("test/a-v0")
    (folder / "data" / "metadata.json").write_text("{")
    with pytest.raises(DatasetError, match="cannot read the metadata of the dataset test/a-v0"):
        load_dataset("test/a-v0")


def test_spaces_that_no_learner_reads_are_refused(store: Path) -> None:
    episodes = some_episodes([2])
    space = spaces.Dict(part=VECTOR)
    buffer = [Episode(e.observations, e.actions, e.rewards, True, False, e.final_observation) for e in episodes]
    write_minari("test/a-v0", buffer, VECTOR, TORQUES)
    metadata = store / "test/a-v0/data/metadata.json"
    text = json.loads(metadata.read_text())
    text["observation_space"] = minari.serialization.serialize_space(space)
    metadata.write_text(json.dumps(text))
    with pytest.raises(DatasetError, match=r"test/a-v0: observations: expected a space of Box, .*FlattenObservation"):
        read_minari("test/a-v0")


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, call in (("h5py", tmp_path / "a.hdf5"), ("minari", "test/a-v0")):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, module, None)
            for part in ("minari.dataset.minari_dataset", "minari.storage.datasets_root_dir"):
                patch.setitem(__import__("sys").modules, part, None)
            with pytest.raises(DatasetError, match=rf"datasets need {module}: pip install 'rl-larnn\[offline\]'"):
                load_dataset(call)


def test_a_set_without_references_or_environment(store: Path) -> None:
    store_minari(random_dataset([2]), "test/a-v0")
    dataset: Dataset = load_dataset("test/a-v0")
    assert dataset.references is None and dataset.env_id is None and dict(dataset.env_kwargs) == {}
