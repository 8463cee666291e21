"""The logs of a run, TensorBoard events and ``progress.csv``, continued without gap or repetition by a resumed run."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
from stable_baselines3.common.logger import CSVOutputFormat, Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from rl_larnn.files import replacing

CURVE = "progress.csv"
#: The column that says how far training had come.
CLOCK = "time/total_timesteps"


class ContinuedEvents(TensorBoardOutputFormat):
    """TensorBoard events that make a reader drop what an earlier session logged after ``steps``."""

    def __init__(self, folder: Path, steps: int) -> None:
        # In place of the parent's constructor, which cannot pass on the purge.
        _let_the_second_pass(folder)
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=steps + 1 if steps else None)
        self._is_closed = False


def _let_the_second_pass(folder: Path) -> None:
    """Wait until a new file of events is named after a later second than those that are there.

    Readers go through the files by name, and the name holds the second; of two sessions in one second, the later
    might be read first, and its purge would find nothing.
    """
    stamps = [path.name.split(".")[3] for path in folder.glob("events.out.tfevents.*")]
    newest = max((int(stamp) for stamp in stamps if stamp.isdecimal()), default=0)
    while newest - 2 < time.time() < newest + 1:  # not for files from a clock that ran ahead
        time.sleep(0.02)


class ContinuedCurve(CSVOutputFormat):
    """A CSV file that keeps the rows of an earlier session up to ``steps``."""

    def __init__(self, path: Path, steps: int, clock: str = CLOCK) -> None:
        # In place of the parent's constructor, which empties the file.
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
    """Header and rows logged at or before ``steps``; a row cut short by a kill is dropped."""
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
    """A Stable-Baselines3 logger into the run folder.

    :param steps: how far training has come by the clock; what was logged after that is dropped
    :param clock: the key under which that is logged: environment steps, or updates where there are no steps
    """
    return Logger(str(folder), [ContinuedEvents(folder, steps), ContinuedCurve(folder / CURVE, steps, clock)])


def steps_logged(folder: Path, clock: str = CLOCK) -> int:
    """How far training had come by the last line of a run's ``progress.csv``; 0 before there is one."""
    try:
        with (folder / CURVE).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        return 0
    steps = [row[clock] for row in rows if (row.get(clock) or "").isdecimal()]
    return int(steps[-1]) if steps else 0


def read_curve(folder: Path) -> np.ndarray:
    """``(points, 2)``: environment steps and the mean return of the last 100 training episodes, after each rollout."""
    try:
        with (folder / CURVE).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        rows = []
    points = [(row.get(CLOCK), row.get("rollout/ep_rew_mean")) for row in rows]
    return np.array([(float(steps), float(mean)) for steps, mean in points if steps and mean]).reshape(-1, 2)
