"""What the readers of D4RL's files and of Minari's store have in common."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import gymnasium as gym
import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.envs.datasets import (
    Columns,
    Dataset,
    DatasetError,
    dataset_title,
    load_cached,
    load_dataset,
    permanent_name,
    read_minari,
    readers,
    store_minari,
)
from tests.dataset_cases import (
    PUSHES,
    SPACES,
    VECTOR,
    assert_same_episodes,
    random_dataset,
    some_episodes,
    store_in,
    write_d4rl,
    write_minari,
)


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


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, call in (("h5py", tmp_path / "a.hdf5"), ("minari", "test/a-v0")):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, module, None)
            for part in ("minari.dataset.minari_dataset", "minari.storage.datasets_root_dir"):
                patch.setitem(__import__("sys").modules, part, None)
            with pytest.raises(DatasetError, match=rf"datasets need {module}: pip install 'rl-larnn\[offline\]'"):
                load_dataset(call)


def test_the_limit_of_steps_is_part_of_the_environment(store: Path) -> None:
    """Written by Minari's own tools, from an environment with another limit than the registered one."""
    dataset = random_dataset([7, 7], 0, VECTOR, PUSHES, env_id="CartPole-v1")
    folder = store_minari(dataset, "test/a-v0")
    for limit, kwargs in ((7, {"max_episode_steps": 7}), (None, {})):
        with gym.make("CartPole-v1", max_episode_steps=limit) as env:
            spec = env.spec.to_json()  # type: ignore[union-attr]
        path = folder / "data" / "metadata.json"
        metadata = json.loads(path.read_text())
        metadata.pop("rl_larnn", None)
        path.write_text(json.dumps({**metadata, "env_spec": spec}))
        found = read_minari("test/a-v0")
        assert (found.env_id, dict(found.env_kwargs)) == ("CartPole-v1", kwargs)


def test_a_set_without_references_or_environment(store: Path) -> None:
    store_minari(random_dataset([2]), "test/a-v0")
    dataset: Dataset = load_dataset("test/a-v0")
    assert dataset.references is None and dataset.env_id is None and dict(dataset.env_kwargs) == {}


class NpzReader(readers.FileReader):
    """A format of one's own: an archive of numpy's with the fields of ``Columns``."""

    suffixes = (".npz",)

    def read(self, path: str, max_episode_steps: int | None) -> Dataset:
        with np.load(path) as arrays:
            return Dataset(path, Columns(**arrays), VECTOR, PUSHES).check()


def test_a_new_format_is_one_class_and_one_row(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = random_dataset([3, 5], 0, VECTOR, PUSHES)
    columns = {name: getattr(expected.columns, name) for name in expected.columns.names}
    np.savez(tmp_path / "mine.npz", **columns)
    monkeypatch.setattr(readers, "READERS", [NpzReader(), *readers.READERS])
    monkeypatch.chdir(tmp_path)
    for load in (load_dataset, load_cached, load_cached):
        assert_same_episodes(load("mine.npz").episodes, expected.episodes)
    assert (tmp_path / "mine.npz.columns/dataset.json").exists()
    assert permanent_name("mine.npz") == str(tmp_path / "mine.npz") and dataset_title("mine.npz") == "mine"
    # The other formats are found as before.
    assert load_dataset(write_d4rl(tmp_path / "a.hdf5", expected.episodes)).steps == 8
    store_minari(expected, "test/a-v0")
    assert load_dataset("test/a").steps == 8
    assert (permanent_name("test/a-v0"), dataset_title("test/a-v0")) == ("test/a-v0", "test/a-v0")
