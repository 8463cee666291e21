"""Run folders and checkpoints: nothing is overwritten, and a kill at any moment leaves something to load."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from rl_larnn import files
from rl_larnn.agents.runs.checkpoint import find_checkpoint, replace_checkpoint
from rl_larnn.agents.runs.folder import create_folder, default_folders, refuse_existing
from rl_larnn.errors import UserError
from rl_larnn.files import read_json, replacing, write_json


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


class Killer:
    """Ends the process at the n-th operation on files, with that operation not done or, where it can be, half done."""

    def __init__(self, moment: int) -> None:
        self.moment = moment
        self.count = 0

    def before(self, operation: Callable[..., Any], half: Callable[..., Any] | None = None) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count == self.moment:
                if half is not None:
                    half(*arguments)
                raise Killed
            return operation(*arguments, **options)

        return guarded


def half_removed(folder: Path) -> None:
    """A removal of a folder that was cut off after its first file."""
    if folder.exists():
        next(folder.iterdir()).unlink()


def write_version(version: int) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        for name in ("model", "state"):
            (folder / name).write_text(str(version))

    return write


def whole_version(run: Path) -> int:
    """The version of the checkpoint that a reader gets, which must be all of one piece."""
    found = find_checkpoint(run)
    assert sorted(path.name for path in found.iterdir()) == ["model", "state"]
    model, state = (int((found / name).read_text()) for name in ("model", "state"))
    assert model == state
    return model


def operations_of_a_replacement(monkeypatch: pytest.MonkeyPatch, killer: Killer) -> Callable[[int], Any]:
    monkeypatch.setattr(files.os, "replace", killer.before(files.os.replace))
    monkeypatch.setattr(files.shutil, "rmtree", killer.before(shutil.rmtree, half_removed))
    monkeypatch.setattr(files, "sync", killer.before(files.sync))
    return lambda version: killer.before(write_version(version), lambda folder: (folder / "model").write_text("torn"))


def count_operations(tmp_path: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        killer = Killer(0)
        write = operations_of_a_replacement(patch, killer)
        for version in (1, 2, 3):
            replace_checkpoint(tmp_path, write(version))
        return killer.count


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (counted := tmp_path / "counted").mkdir()
    last_moment = count_operations(counted)
    assert last_moment > 20
    for moment in range(1, last_moment + 1):
        (run := tmp_path / str(moment)).mkdir()
        replace_checkpoint(run, write_version(0))
        reached = 0
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            write = operations_of_a_replacement(patch, Killer(moment))
            for version in (1, 2, 3):
                replace_checkpoint(run, write(version))
                reached = version
            raise Killed
        assert whole_version(run) in (reached, reached + 1), moment
        # The next session carries on over whatever was left lying about.
        replace_checkpoint(run, write_version(9))
        assert whole_version(run) == 9
        assert [path.name for path in run.iterdir()] == ["checkpoint"]


def test_two_kills_in_a_row_leave_a_whole_checkpoint(tmp_path: Path) -> None:
    (counted := tmp_path / "counted").mkdir()
    for moment in range(1, count_operations(counted) // 3 + 1):
        (run := tmp_path / str(moment)).mkdir()
        replace_checkpoint(run, write_version(0))
        # Killed between the two renames: only checkpoint.old is left.
        (run / "checkpoint").rename(run / "checkpoint.old")
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            replace_checkpoint(run, operations_of_a_replacement(patch, Killer(moment))(1))
            raise Killed
        assert whole_version(run) in (0, 1), moment


def test_a_folder_without_a_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which has none"):
        find_checkpoint(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        find_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize("moment", [1, 2])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "config.json", {"version": 0})
    killer = Killer(moment)
    monkeypatch.setattr(files, "sync", killer.before(files.sync))
    monkeypatch.setattr(files.os, "replace", killer.before(files.os.replace))
    with pytest.raises(Killed):
        write_json(tmp_path / "config.json", {"version": 1})
    assert read_json(tmp_path / "config.json", "settings") == {"version": 0}


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Killed), replacing(tmp_path / "result.json") as temporary:
        temporary.write_text("half")
        raise Killed
    assert list(tmp_path.iterdir()) == []


def test_default_names_count_up_and_are_never_used_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = [str(create_folder(None, "pack.mod:space/Task-v0", "gru", 3)) for _ in range(3)]
    assert made == [f"runs/pack.mod-space-Task-v0/gru-s3{end}" for end in ("", "-2", "-3")]
    assert [str(path) for path in islice(default_folders("Task-v0", "gru", 0), 2)][1] == "runs/Task-v0/gru-s0-2"


def test_an_explicit_folder_must_be_new(tmp_path: Path) -> None:
    for check in (lambda: refuse_existing(tmp_path), lambda: create_folder(tmp_path, "Task-v0", "gru", 0)):
        with pytest.raises(UserError, match=f"exists already: pass --resume {tmp_path}"):
            check()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"expected the name of a new run folder, got .*, which is a file"):
        refuse_existing(tmp_path / "file")
    with pytest.raises(UserError, match=r"expected a run folder, got .*, which is a file"):
        find_checkpoint(tmp_path / "file")
    with pytest.raises(UserError, match="cannot create the run folder"):
        create_folder(tmp_path / "file" / "run", "Task-v0", "gru", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ('{"a": ', "truncated or foreign"),
        ("[1]", "a JSON list"),
        ("\0", "truncated or foreign"),
    ],
)
def test_unreadable_json_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "config.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        read_json(path, "the settings of a run")
    assert str(path) in str(caught.value) and "the settings of a run" in str(caught.value)
