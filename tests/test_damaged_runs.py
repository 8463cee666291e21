"""Runs whose files were damaged: one line that says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rl_larnn.agents.training import resume
from rl_larnn.errors import UserError
from tests.training_cases import (
    copy,
    truncate,
)


def replace_by_text(path: Path) -> None:
    path.write_text("something else")


pytestmark = pytest.mark.usefixtures("troubled")


@pytest.mark.parametrize("damage", [truncate, replace_by_text, Path.unlink])
@pytest.mark.parametrize("name", ["config.json", "checkpoint/state.json", "checkpoint/model.zip"])
def test_a_damaged_run_is_told_in_one_line(
    interrupted: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    folder = copy(interrupted, tmp_path)
    damage(folder / name)
    with pytest.raises(UserError, match="expected") as caught:
        resume(folder)
    assert str(folder / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "checkpoint/state.json"])
def test_json_of_something_else_is_told_in_one_line(interrupted: Path, tmp_path: Path, name: str) -> None:
    folder = copy(interrupted, tmp_path)
    (folder / name).write_text('{"steps": 1}')
    with pytest.raises(UserError, match="got a foreign file"):
        resume(folder)


def test_damaged_statistics_are_told_in_one_line(interrupted: Path, tmp_path: Path) -> None:
    folder = copy(interrupted, tmp_path)
    truncate(folder / "checkpoint" / "vecnormalize.pkl")
    with pytest.raises(UserError, match="expected saved VecNormalize statistics"):
        resume(folder)
