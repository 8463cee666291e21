"""Reading ``config.json``, the settings of a run."""

from __future__ import annotations

from pathlib import Path

from rl_larnn.agents.runs.folder import CONFIG, OFFLINE, refuse_no_folder
from rl_larnn.agents.settings.config import BegunWith, Settings
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json


def load_settings(folder: Path) -> Settings:
    """The settings of a run.

    :raises UserError: if there is no run there, or its ``config.json`` is truncated or foreign
    """
    refuse_no_folder(folder)
    data = read_json(folder / CONFIG, "the settings of a run")
    try:
        return Settings.from_json(data)
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"cannot read {folder / CONFIG}: expected the settings of a run, got a foreign file ({one_line(error)})"
        ) from error


def was_offline(folder: str | Path) -> bool:
    """Whether the run in this folder was trained on a dataset.

    :raises UserError: if there is no run there
    """
    return OFFLINE in read_json(Path(folder) / CONFIG, "the settings of a run")


def begun_with(folder: str | Path | None) -> BegunWith | None:
    """The run that an agent begins with, if it begins with one.

    :raises UserError: if there is no run there
    """
    return None if folder is None else BegunWith(load_settings(Path(folder)), was_offline(folder))
