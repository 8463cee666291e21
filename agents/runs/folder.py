"""Run folders: their names, their lock, and the settings in ``config.json``.

A run folder holds ``config.json``, ``progress.csv``, TensorBoard events, ``checkpoint/`` and, after training,
``model.zip``, ``vecnormalize.pkl`` and ``result.json``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from rl_larnn.agents.settings.config import Settings
from rl_larnn.errors import UserError, one_line
from rl_larnn.files import locked, read_json

CONFIG = "config.json"
RESULT = "result.json"
MODEL = "model.zip"
NORMALIZATION = "vecnormalize.pkl"

#: The key of ``config.json`` that only offline runs have.
OFFLINE = "offline"


def default_folders(env_id: str, method: str, seed: int) -> Iterator[Path]:
    """``runs/<env id>/<method>-s<seed>``, then the same with the suffixes ``-2``, ``-3`` and so on.

    :param method: memory or algorithm; of ``package.module:Class`` only the class is used
    """
    name = method.rpartition(":")[2].lower()
    base = Path("runs") / env_id.replace("/", "-").replace(":", "-") / f"{name}-s{seed}"
    yield base
    for number in count(2):
        yield base.with_name(f"{base.name}-{number}")


def refuse_existing(folder: str | Path | None) -> None:
    """:raises UserError: if the folder exists; runs are never overwritten."""
    if folder is not None and Path(folder).is_dir():
        raise UserError(
            f"the run folder {folder} exists already: pass --resume {folder} to continue it, or another name"
        )
    if folder is not None and Path(folder).exists():
        raise UserError(f"expected the name of a new run folder, got {folder}, which is a file")


def refuse_no_folder(folder: Path) -> None:
    """:raises UserError: unless the folder exists."""
    if not folder.is_dir():
        fault = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"expected a run folder, got {folder}, which {fault}")


def create_folder(folder: str | Path | None, env_id: str, method: str, seed: int) -> Path:
    """Create the given folder, or the first free one of :func:`default_folders`.

    :raises UserError: if the given folder exists or cannot be created
    """
    names = iter([Path(folder)]) if folder is not None else default_folders(env_id, method, seed)
    for candidate in names:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            refuse_existing(folder)
        except OSError as error:
            raise UserError(f"cannot create the run folder {candidate}: {error.strerror or error}") from error
    raise UserError(f"cannot create the run folder {folder}: a part of its path is a file")


def reopen(folder: Path, unit: str, done: int, total: int, before: int) -> None:
    """Make a finished run with a larger total unfinished again: delete its result and agent, keep its checkpoint.

    A run that has reached its total without a result was interrupted in its final evaluation, and is not changed.

    :param unit: ``steps`` or ``updates``
    :param done: units at the checkpoint
    :param total: new total
    :param before: total until now
    :raises UserError: if the run is finished, or the total is smaller than what is done
    """
    evaluated = (folder / RESULT).exists()
    if total < min(done, before) and not evaluated:
        raise UserError(
            f"the run {folder} has done {done} {unit} already, got {total}: leave it out to continue to {before}"
        )
    if done >= total and not evaluated:
        return
    if done >= total and read_json(folder / RESULT, "the result of a run")[unit] == done:
        raise UserError(
            f"the run {folder} is finished: {done} {unit} of {total}; to train it longer, give a larger total, such as "
            f"-n {2 * max(done, total)}"
        )
    for name in (RESULT, MODEL, NORMALIZATION):
        (folder / name).unlink(missing_ok=True)


def training_alone(folder: Path) -> AbstractContextManager[None]:
    """Lock a run folder: two processes would delete each other's checkpoints.

    :raises UserError: if another process trains the run
    """
    return locked(folder / ".lock", f"another process is training the run {folder}: wait for it, or stop it")


def load_settings(folder: Path) -> Settings:
    """The settings of a run.

    :raises UserError: if there is no run, or its ``config.json`` is truncated or foreign
    """
    with reading_config(folder) as data:
        return Settings.from_json(data)


@contextmanager
def reading_config(folder: Path) -> Iterator[dict[str, Any]]:
    """The content of ``config.json``.

    :raises UserError: if there is no run, or the file is truncated or foreign, also if that is found while it is parsed
    """
    refuse_no_folder(folder)
    data = read_json(folder / CONFIG, "the settings of a run")
    try:
        yield data
    except (KeyError, TypeError, AttributeError, UserError) as error:
        raise UserError(
            f"cannot read {folder / CONFIG}: expected the settings of a run, got a foreign file ({one_line(error)})"
        ) from error


def was_offline(folder: str | Path) -> bool:
    """Whether a run was trained on a dataset.

    :raises UserError: if there is no run
    """
    return OFFLINE in read_json(Path(folder) / CONFIG, "the settings of a run")


def initial_run(folder: str | Path) -> tuple[Settings, bool]:
    """The settings of a run, and whether it was trained on a dataset.

    :raises UserError: if there is no run
    """
    return load_settings(Path(folder)), was_offline(folder)
