"""Run folders: their names, their lock, and the settings in ``config.json``.

A run folder holds ``config.json``, ``progress.csv``, TensorBoard events, ``checkpoint/`` and, when training is over,
``model.zip``, ``vecnormalize.pkl`` and ``result.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from rl_larnn.agents.settings.config import InitialRun, Settings
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import locked, read_json

CONFIG = "config.json"
RESULT = "result.json"
MODEL = "model.zip"
NORMALIZATION = "vecnormalize.pkl"
_LOCK = ".lock"

#: The key of ``config.json`` under which a run that was trained on a dataset says so.
OFFLINE = "offline"


def default_folders(env_id: str, method: str, seed: int) -> Iterator[Path]:
    """``runs/<env id>/<method>-s<seed>``, then the same with ``-2``, ``-3`` and so on behind.

    :param method: memory or algorithm; of ``package.module:Class`` only the class is taken
    """
    name = method.rpartition(":")[2].lower()
    base = Path("runs") / env_id.replace("/", "-").replace(":", "-") / f"{name}-s{seed}"
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def refuse_existing(folder: Path) -> None:
    """:raises UserError: if the folder exists; a run is never written over another."""
    if folder.is_dir():
        raise UserError(
            f"the run folder {folder} exists already: pass --resume {folder} to continue it, or another name"
        )
    if folder.exists():
        raise UserError(f"expected the name of a new run folder, got {folder}, which is a file")


def refuse_no_folder(folder: Path) -> None:
    """:raises UserError: unless there is such a folder."""
    if not folder.is_dir():
        raise UserError(
            f"expected a run folder, got {folder}, which {'is a file' if folder.exists() else 'does not exist'}"
        )


def create_folder(folder: Path | None, env_id: str, method: str, seed: int) -> Path:
    """Create the asked-for folder, or the first free one of :func:`default_folders`.

    :raises UserError: if the asked-for folder exists or cannot be created
    """
    names = iter([folder]) if folder is not None else default_folders(env_id, method, seed)
    for candidate in names:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            if folder is not None:
                refuse_existing(folder)
        except OSError as error:
            raise UserError(f"cannot create the run folder {candidate}: {error.strerror or error}") from error
    raise UserError(f"cannot create the run folder {folder}: a part of its path is a file")


def reopen(folder: Path, unit: str, done: int, total: int, before: int) -> None:
    """Make a finished run unfinished again: what it left is of fewer steps than it will have; its checkpoint stays.

    :param unit: what is counted, as the result calls it: ``steps`` or ``updates``
    :param done: what the checkpoint has learned from
    :param total: what is asked for
    :param before: what was asked for until now
    :raises UserError: if nothing is left to do, or less is asked for than is done; a run that has done all but has no
        result was cut off in its final evaluation, which is left
    """
    evaluated = (folder / RESULT).exists()
    if total < min(done, before) and not evaluated:
        raise UserError(
            f"the run {folder} has done {done} {unit} already, got {total}: leave it out to go on to {before}"
        )
    if done >= total and not evaluated:
        return
    if done >= total and read_json(folder / RESULT, "the result of a run")[unit] == done:
        raise UserError(
            f"the run {folder} is finished: {done} {unit} of {total}; to train it longer, ask for more, "
            f"such as -n {2 * max(done, total)}"
        )
    for name in (RESULT, MODEL, NORMALIZATION):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def training_alone(folder: Path) -> Iterator[None]:
    """A run folder to oneself: two that train it would remove each other's checkpoints.

    :raises UserError: if another process trains it
    """
    with locked(folder / _LOCK, f"another process is training the run {folder}: wait for it, or stop it"):
        yield


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


def initial_run(folder: str | Path | None) -> InitialRun | None:
    """The run whose weights an agent starts with, if there is one.

    :raises UserError: if there is no run there
    """
    return None if folder is None else InitialRun(load_settings(Path(folder)), was_offline(folder))
