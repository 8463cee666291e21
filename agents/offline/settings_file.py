"""Reading what ``config.json`` says of a run that learned from data."""

from __future__ import annotations

from pathlib import Path

from rl_larnn.agents.offline.config import DataFacts, OfflineSettings
from rl_larnn.agents.runs.folder import CONFIG, OFFLINE
from rl_larnn.agents.runs.settings_file import load_settings, was_offline
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import read_json


def load_offline_settings(folder: Path) -> OfflineSettings:
    """The settings of an offline run.

    :raises UserError: if there is no run there, it was trained online, or its ``config.json`` is damaged
    """
    run = load_settings(folder)
    data = read_json(folder / CONFIG, "the settings of a run")
    if OFFLINE not in data:
        raise UserError(f"{folder} was trained online: continue it with train_agent.py --resume {folder}")
    try:
        return OfflineSettings.from_json(run, data[OFFLINE])
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"cannot read {folder / CONFIG}: expected the settings of a run, got a foreign file ({one_line(error)})"
        ) from error


def data_facts(folder: Path) -> DataFacts | None:
    """What a run knows of its data, or None of a run that was trained online."""
    return load_offline_settings(folder).facts if was_offline(folder) else None
