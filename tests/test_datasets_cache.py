"""The memory-mapped copy: equal to the bit, made once, never out of date, whole or not there."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rl_larnn.envs.datasets import (
    Dataset,
    DatasetError,
    References,
    WindowSampler,
    cache,
    load_cached,
    load_dataset,
    open_dataset,
    save_dataset,
    store_minari,
)
from rl_larnn.envs.datasets.readers import Source, find_source
from tests.dataset_cases import IMAGE, PUSHES, assert_same_episodes, random_dataset, write_d4rl


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every reading of a source."""
    names: list[Any] = []

    def find(name: Any, *rest: Any) -> Source:
        source = find_source(name, *rest)

        def read() -> Dataset:
            names.append(name)
            return source.read()

        return replace(source, read=read)

    monkeypatch.setattr(cache, "find_source", find)
    return names


def assert_same(found: Dataset, expected: Dataset) -> None:
    assert_same_episodes(found.episodes, expected.episodes, final=expected.columns.final_observations is not None)
    for key in ("name", "observation_space", "action_space", "references", "env_id", "env_kwargs", "metadata"):
        assert getattr(found, key) == getattr(expected, key), key
    one, other = (WindowSampler(dataset, 5, seed=1).sample() for dataset in (found, expected))
    for key in ("observations", "actions", "rewards", "returns_to_go", "times", "mask"):
        first, second = getattr(one, key), getattr(other, key)
        assert first.dtype == second.dtype and first.tobytes() == second.tobytes(), key


@pytest.mark.parametrize("kind", ["minari", "d4rl"])
def test_windows_from_the_copy_are_equal_to_the_bit(store: Path, tmp_path: Path, reads: list[Any], kind: str) -> None:
    if kind == "minari":
        about = {"references": References(0, 9), "env_id": "CartPole-v1", "metadata": {"level": "expert", "n": [1]}}
        store_minari(random_dataset([4, 9, 2], 0, IMAGE, PUSHES, **about), "test/a-v0")
        name, place = "test/a", store / "test/a-v0/columns"
    else:
        name = str(write_d4rl(tmp_path / "hopper_medium-v2.hdf5", random_dataset([4, 9, 2]).episodes, tail=2))
        place = tmp_path / "hopper_medium-v2.hdf5.columns"
    expected = load_dataset(name)
    for _ in range(2):
        found = load_cached(name)
        assert_same(found, expected)
        for column in found.columns.names:
            assert isinstance(getattr(found.columns, column).base, np.memmap), column
    assert len(reads) == 1 and (place / "dataset.json").exists()
    assert [path.name for path in place.parent.iterdir() if path.name.startswith(".")] == []


def test_a_changed_source_is_read_again(store: Path, tmp_path: Path, reads: list[Any]) -> None:
    path = write_d4rl(tmp_path / "a.hdf5", random_dataset([4], seed=0).episodes)
    opened = load_cached(path)
    before = opened.columns.observations.copy()
    write_d4rl(path, random_dataset([4], seed=1).episodes)
    assert_same(load_cached(path), load_dataset(path))
    np.testing.assert_array_equal(opened.columns.observations, before)  # whoever had the old one open, keeps it
    os.utime(path, ns=(1, 1))
    assert_same(load_cached(path), load_dataset(path))
    assert len(reads) == 3


def test_a_damaged_copy_is_made_again(tmp_path: Path, reads: list[Any]) -> None:
    path = write_d4rl(tmp_path / "a.hdf5", random_dataset([40]).episodes)
    load_cached(path)
    place = tmp_path / "a.hdf5.columns"
    for number, (name, text) in enumerate(
        [("observations.npy", None), ("rewards.npy", b""), ("lengths.npy", b"x" * 9), ("dataset.json", b'{"format": 1')]
    ):
        content = (place / name).read_bytes()
        (place / name).write_bytes(content[: len(content) // 2] if text is None else text)
        assert_same(load_cached(path), load_dataset(path))
        assert len(reads) == number + 2
    (place / "actions.npy").unlink()
    with pytest.raises(DatasetError, match="expected a whole copy of a dataset"):
        open_dataset(place)


def test_one_file_is_read_once_however_it_is_named(
    tmp_path: Path, reads: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_d4rl(tmp_path / "a.hdf5", random_dataset([4]).episodes)
    monkeypatch.chdir(tmp_path)
    for name in ("a.hdf5", path, "./a.hdf5"):
        assert load_cached(name).name == str(name)
    assert len(reads) == 1
    # Copies of earlier revisions have this key: another one would make all of them anew.
    stat, copy = path.stat(), tmp_path / "a.hdf5.columns"
    open_dataset(copy, key=[str(path), None, stat.st_size, stat.st_mtime_ns])


def test_episodes_cut_elsewhere_are_another_copy(tmp_path: Path, reads: list[Any]) -> None:
    path = write_d4rl(tmp_path / "a.hdf5", random_dataset([4, 4, 4]).episodes, timeouts=None)
    for limit in (2, 3, 3):
        assert load_cached(path, max_episode_steps=limit).columns.lengths.max() <= limit
    assert len(reads) == 2
    # Of the tasks that are known, the limit is known too, and saying it makes no difference.
    known = write_d4rl(tmp_path / "hopper-medium-v2.hdf5", random_dataset([4]).episodes)
    for limit in (None, 1000):
        load_cached(known, max_episode_steps=limit)
    assert len(reads) == 3


def test_where_no_copy_can_be_written_the_data_are_in_memory(tmp_path: Path, reads: list[Any]) -> None:
    path = write_d4rl(tmp_path / "a.hdf5", random_dataset([4]).episodes)
    (tmp_path / "a.hdf5.columns").mkdir()  # something else's
    found = load_cached(path)
    assert not isinstance(found.columns.rewards.base, np.memmap)
    assert_same(found, load_dataset(path))


def test_another_folder_can_be_named(tmp_path: Path, reads: list[Any]) -> None:
    path = write_d4rl(tmp_path / "a.hdf5", random_dataset([4]).episodes)
    for _ in range(2):
        load_cached(path, tmp_path / "deep" / "copy")
    assert len(reads) == 1 and not (tmp_path / "a.hdf5.columns").exists()
    other = write_d4rl(tmp_path / "b.hdf5", random_dataset([4], seed=1).episodes)
    assert_same(load_cached(other, tmp_path / "deep" / "copy"), load_dataset(other))
    (tmp_path / "full").mkdir()
    with pytest.raises(DatasetError, match="exists and is no copy of a dataset: pass another folder"):
        load_cached(path, tmp_path / "full")
    with pytest.raises(DatasetError, match=r"cannot write a copy of .* \(File exists\): pass another folder"):
        load_cached(path, path / "below")


def test_a_copy_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = random_dataset([4], seed=0), random_dataset([5], seed=1)
    save_dataset(first, tmp_path / "copy")
    real, written = np.save, []

    def cut(path: Path, array: np.ndarray) -> None:
        written.append(path)
        if len(written) == 3:
            raise KeyboardInterrupt
        real(path, array)

    monkeypatch.setattr(np, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        save_dataset(second, tmp_path / "copy")
    monkeypatch.undo()
    assert_same(open_dataset(tmp_path / "copy"), first)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_two_processes_may_write_the_same_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, real = random_dataset([4]), np.save

    def overtaken(path: Path, array: np.ndarray) -> None:
        monkeypatch.setattr(np, "save", real)
        save_dataset(random_dataset([5]), tmp_path / "copy")  # while the first one writes
        real(path, array)

    monkeypatch.setattr(np, "save", overtaken)
    save_dataset(dataset, tmp_path / "copy")
    assert_same(open_dataset(tmp_path / "copy"), dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_a_copy_that_another_process_is_replacing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = write_d4rl(tmp_path / "a.hdf5", random_dataset([4]).episodes), save_dataset

    def overtaken(dataset: Dataset, folder: Path, key: Any) -> None:
        real(dataset, folder, key)
        shutil.rmtree(folder)  # the other one has just moved it out of its way

    monkeypatch.setattr(cache, "save_dataset", overtaken)
    assert_same(load_cached(path), load_dataset(path))


@pytest.mark.parametrize(
    "space", [spaces.Discrete(4, start=2), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)], ids=str
)
def test_other_spaces_are_kept(tmp_path: Path, space: Any) -> None:
    dataset = random_dataset([3])
    actions = np.stack([space.sample() for _ in range(3)]).astype(space.dtype)
    columns = {name: getattr(dataset.columns, name) for name in dataset.columns.names}
    chosen = Dataset("set", type(dataset.columns)(**{**columns, "actions": actions}), dataset.observation_space, space)
    save_dataset(chosen, tmp_path / "copy", key=["a", 1])
    assert_same(open_dataset(tmp_path / "copy", key=["a", 1]), chosen)
    with pytest.raises(DatasetError, match="the copy is of another source"):
        open_dataset(tmp_path / "copy", key=["a", 2])
