"""The logs of a run, TensorBoard events and ``progress.csv``, which a resumed run continues."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
from stable_baselines3.common.logger import CSVOutputFormat, Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from rl_larnn.files import replacing

CURVE = "progress.csv"
#: The column of the environment steps done.
CLOCK = "time/total_timesteps"


class ContinuedEvents(TensorBoardOutputFormat):
    """TensorBoard events that make readers drop what an earlier session logged after ``steps``."""

    def __init__(self, folder: Path, steps: int) -> None:
        # In place of the parent's constructor, which has no purge_step.
        _wait_for_next_second(folder)
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=steps + 1 if steps else None)
        self._is_closed = False


def _wait_for_next_second(folder: Path) -> None:
    """Wait until the name of a new file of events has a later second than the present ones.

    Readers sort the files by name, which contains the second. Of two sessions in one second, the later might be read
    first, and its purge would be lost.
    """
    stamps = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    newest = max((int(stamp) for stamp in stamps if stamp.isdecimal()), default=0)
    while newest - 2 < time.time() < newest + 1:  # not for files from a clock that ran ahead
        time.sleep(0.02)


class ContinuedCurve(CSVOutputFormat):
    """A CSV file that keeps the rows of an earlier session up to ``steps``."""

    def __init__(self, path: Path, steps: int, clock: str = CLOCK) -> None:
        # In place of the parent's constructor, which truncates the file.
        keys, rows = _rows(path, steps, clock)
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([keys, *rows] if keys else [])
        self.file = path.open("r+", encoding="utf-8")
        self.file.seek(0, 2)
        self.keys = keys
        self.separator = ","
        self.quotechar = '"'


def _rows(path: Path, steps: int, clock: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows up to ``steps``, without a row that a kill truncated."""
    if not path.exists():
        return [], []
    with path.open(newline="", encoding="utf-8") as file:
        keys, *rows = list(csv.reader(file)) or [[]]
    if clock not in keys:
        return [], []
    column = keys.index(clock)
    whole = [row for row in rows if len(row) == len(keys) and row[column].isdecimal()]
    return keys, [row for row in whole if int(row[column]) <= steps]


def run_logger(folder: Path, steps: int, clock: str = CLOCK) -> Logger:
    """A logger of Stable-Baselines3 for a run folder.

    :param steps: units done; rows after that are dropped
    :param clock: the key of the units in the log: environment steps, or updates of an offline run
    """
    return Logger(str(folder), [ContinuedEvents(folder, steps), ContinuedCurve(folder / CURVE, steps, clock)])


def steps_logged(folder: Path, clock: str = CLOCK) -> int:
    """The units done at the last row of ``progress.csv``; 0 without one."""
    steps = [row[clock] for row in _curve(folder) if (row.get(clock) or "").isdecimal()]
    return int(steps[-1]) if steps else 0


def read_curve(folder: Path) -> np.ndarray:
    """``(points, 2)``: environment steps and the mean return of the last 100 training episodes, after each rollout."""
    points = [(row.get(CLOCK), row.get("rollout/ep_rew_mean")) for row in _curve(folder)]
    return np.array([(float(steps), float(mean)) for steps, mean in points if steps and mean]).reshape(-1, 2)


def _curve(folder: Path) -> list[dict[str, str]]:
    try:
        with (folder / CURVE).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError:
        return []
