"""Minari's store: what is stored comes back, and damaged sets are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
import numpy.testing as npt
import pytest
from gymnasium import spaces

from rl_larnn.envs.datasets import (
    DatasetError,
    Episode,
    References,
    load_d4rl,
    load_dataset,
    local_ids,
    read_minari,
    refuse_taken_id,
    store_minari,
)
from tests.dataset_cases import (
    SPACES,
    TORQUES,
    VECTOR,
    assert_same_episodes,
    random_dataset,
    some_episodes,
    store_in,
    write_d4rl,
    write_minari,
)


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
        refuse_taken_id("test/b")
    for name in ("test/b c-v0", "", "a/../b-v0"):
        with pytest.raises(DatasetError, match="expected a dataset id such as"):
            refuse_taken_id(name)


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
        refuse_taken_id("test/a-v0")


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
    for name in ("test/a-v0", "test/a"):
        with pytest.raises(DatasetError, match="cannot read the metadata of the dataset test/a-v0"):
            load_dataset(name)


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
