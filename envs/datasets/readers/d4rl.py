"""Reader of D4RL's HDF5 files.

Layout: N steps in ``observations`` (N, ...), ``actions`` (N, ...), ``rewards`` (N,), ``terminals`` (N,) and
``timeouts`` (N,), episode after episode; an episode ends where one of the last two is true. Some files also have
``next_observations`` (N, ...), some old ones lack the timeouts. All other keys are ignored.

Sources: Farama-Foundation/D4RL (``offline_env.py``, ``collect_data.py``) for the layout; tinkoff-ai/CORL (``dt.py``)
and takuseno/d3rlpy (``episode_generator.py``), which both drop the unfinished episode at the end of a file, as this
reader does.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.envs.datasets.dataset import Dataset, to_dtype_of
from rl_larnn.envs.datasets.episode import as_numbers
from rl_larnn.envs.datasets.errors import DatasetError, import_optional
from rl_larnn.envs.datasets.readers.reader import FileReader
from rl_larnn.envs.datasets.scores import d4rl_locomotion
from rl_larnn.errors import one_line

_FORMAT = "D4RL HDF5"
KEYS = ("observations", "actions", "rewards", "terminals")
_LAYOUT = "observations (N, ...), actions (N, ...), rewards (N,), terminals (N,) and timeouts (N,)"


def load_d4rl(
    path: str | Path,
    observation_space: gym.Space | None = None,
    action_space: gym.Space | None = None,
    max_episode_steps: int | None = None,
) -> Dataset:
    """Read a file.

    :param path: the file; the names of the locomotion tasks tell references and environment
    :param observation_space: None: an unbounded Box for floats, the smallest space that holds the data otherwise
    :param action_space: None: a Box from -1 to 1 for floats, unbounded if an action is outside; Discrete or
        MultiDiscrete for whole numbers
    :param max_episode_steps: where to cut episodes if the file has no timeouts; known for the locomotion tasks
    :raises DatasetError: no such file, no HDF5, a missing key, lengths that do not agree, NaN, no end of an episode
    """
    path = Path(path)
    known = d4rl_locomotion(path.stem)
    raw = _read(path)
    steps = len(raw["rewards"])
    limit = step_limit(path, max_episode_steps)
    terminals, timeouts = _flags(path, raw, "terminals"), _timeouts(path, raw, limit)
    ends = np.flatnonzero(terminals | timeouts)
    if len(ends) == 0:
        raise DatasetError(f"{path}: terminals, timeouts: expected the end of at least one episode, got {steps} steps")
    whole = int(ends[-1]) + 1
    observation_space = observation_space or _observation_space(path, raw["observations"])
    action_space = action_space or _action_space(path, raw["actions"])
    seen = to_dtype_of(observation_space, raw["observations"], f"{path}: observations")
    following = raw.get("next_observations")
    columns = Columns(
        observations=seen[:whole],
        actions=to_dtype_of(action_space, raw["actions"], f"{path}: actions")[:whole],
        rewards=raw["rewards"][:whole],
        lengths=np.diff(ends, prepend=-1),
        terminated=terminals[ends],
        truncated=timeouts[ends],
        final_observations=None if following is None else following[ends].astype(seen.dtype, copy=False),
    )
    return Dataset(
        name=str(path),
        columns=columns,
        observation_space=observation_space,
        action_space=action_space,
        references=None if known is None else known.references,
        env_id=None if known is None else known.env_id,
        env_kwargs={} if known is None else dict(known.env_kwargs),
        metadata={"format": _FORMAT, "dropped_steps": steps - whole},
    ).check()


class D4rlReader(FileReader):
    """Reader of D4RL's files, and of any file that no other reader claims."""

    suffixes = (".hdf5", ".h5")

    def claims(self, name: str) -> bool:
        return super().claims(name) or Path(name).is_file()

    def step_limit(self, path: str, max_episode_steps: int | None) -> int | None:
        return step_limit(path, max_episode_steps)

    def read(self, path: str, max_episode_steps: int | None) -> Dataset:
        return load_d4rl(path, max_episode_steps=max_episode_steps)


def step_limit(path: str | Path, max_episode_steps: int | None = None) -> int | None:
    """Return where to cut episodes if the file has no timeouts: as given, or as known for the locomotion tasks."""
    known = d4rl_locomotion(Path(path).stem)
    return max_episode_steps or (None if known is None else known.max_episode_steps)


def with_spaces_of(dataset: Dataset, observation_space: gym.Space, action_space: gym.Space) -> Dataset:
    """Return the dataset with the spaces of an environment, where the data of a D4RL file fit them.

    D4RL's files do not tell spaces: bounds and numbers of choices are guessed from the data. Datasets of other formats
    do not change.
    """
    if dataset.metadata.get("format") != _FORMAT:
        return dataset
    return replace(
        dataset,
        observation_space=_bounded(dataset.observation_space, observation_space),
        action_space=_bounded(dataset.action_space, action_space),
    )


def _bounded(guess: gym.Space, wanted: gym.Space) -> gym.Space:
    if isinstance(guess, spaces.Box) and isinstance(wanted, spaces.Box) and guess.shape == wanted.shape:
        if guess.dtype.kind != "f":
            return guess
        with np.errstate(over="ignore"):  # bounds too large for the numbers of the file become infinite
            low, high = (bound.astype(guess.dtype) for bound in (wanted.low, wanted.high))
        return spaces.Box(low, high, dtype=guess.dtype.type)
    if isinstance(guess, spaces.Discrete) and isinstance(wanted, spaces.Discrete):
        return wanted if wanted.start == 0 and wanted.n >= guess.n and wanted.dtype == guess.dtype else guess
    if isinstance(guess, spaces.MultiDiscrete) and isinstance(wanted, spaces.MultiDiscrete):
        fits = wanted.shape == guess.shape and not wanted.start.any() and (wanted.nvec >= guess.nvec).all()
        return wanted if fits and wanted.dtype == guess.dtype else guess
    return guess


def _read(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of a file and check that their shapes agree."""
    h5py = import_optional("h5py")
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected an HDF5 file with {_LAYOUT}")
    try:
        with h5py.File(path, "r") as file:
            missing = [key for key in KEYS if not isinstance(file.get(key), h5py.Dataset)]
            if missing:
                found = ", ".join(sorted(file)) or "none"
                raise DatasetError(
                    f"{path}: missing key {', '.join(missing)}: expected {_LAYOUT}, got the keys {found}"
                )
            optional = [key for key in ("timeouts", "next_observations") if key in file]
            raw = {key: _array(path, file, key) for key in (*KEYS, *optional)}
    except OSError as error:
        raise DatasetError(f"{path}: expected a whole HDF5 file with {_LAYOUT}, got {one_line(error)}") from error
    _check_rows(path, raw)
    return raw


def _array(path: Path, file: Any, key: str) -> np.ndarray:
    try:
        array = as_numbers(file[key][()], key)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    if key in ("rewards", "terminals", "timeouts"):
        # Some files store columns of width one.
        return array[:, 0] if array.shape[1:] == (1,) else array
    return array[:, None] if array.ndim == 1 and array.dtype.kind == "f" else array


def _check_rows(path: Path, raw: dict[str, np.ndarray]) -> None:
    rewards = raw["rewards"]
    if rewards.ndim != 1 or len(rewards) == 0:
        raise DatasetError(f"{path}: rewards: expected shape (N,) with at least one step, got {rewards.shape}")
    for key, array in raw.items():
        flat = key in ("terminals", "timeouts")
        if array.shape[:1] != rewards.shape or (flat and array.ndim != 1):
            expected = f"({len(rewards)},)" if flat else f"({len(rewards)}, ...)"
            raise DatasetError(f"{path}: {key}: expected shape {expected} like the rewards, got {array.shape}")
    following, observations = raw.get("next_observations"), raw["observations"]
    if following is not None and following.shape != observations.shape:
        raise DatasetError(f"{path}: next_observations: expected shape {observations.shape}, got {following.shape}")


def _flags(path: Path, raw: dict[str, np.ndarray], key: str) -> np.ndarray:
    array = raw[key]
    if not np.isin(array, (0, 1)).all():
        raise DatasetError(f"{path}: {key}: expected truth values, 0 or 1, got others in shape {array.shape}")
    return array.astype(bool)


def _timeouts(path: Path, raw: dict[str, np.ndarray], limit: int | None) -> np.ndarray:
    """Return the timeouts of a file; in an old file, those that follow from the step limit."""
    if "timeouts" in raw:
        return _flags(path, raw, "timeouts")
    if limit is None:
        raise DatasetError(
            f"{path}: missing key timeouts (N,): without it, only a limit of steps can tell where episodes end; "
            "name an environment with a limit of steps (--env), or pass max_episode_steps"
        )
    terminals, timeouts = _flags(path, raw, "terminals"), np.zeros(len(raw["rewards"]), bool)
    start = 0
    for end in [*np.flatnonzero(terminals), len(timeouts)]:
        # The last step before the limit counts as truncated, unless the task terminated there.
        timeouts[start + limit - 1 : end : limit] = True
        start = int(end) + 1
    return timeouts


def _observation_space(path: Path, array: np.ndarray) -> gym.Space:
    if array.dtype.kind == "f":
        return spaces.Box(-np.inf, np.inf, array.shape[1:], array.dtype.type)
    if array.dtype == np.uint8 and array.ndim > 2:
        return spaces.Box(0, 255, array.shape[1:], np.uint8)
    return _choices(path, "observations", array)


def _action_space(path: Path, array: np.ndarray) -> gym.Space:
    if array.dtype.kind == "f":
        inside = bool((np.abs(array) <= 1).all())
        return spaces.Box(-1.0 if inside else -np.inf, 1.0 if inside else np.inf, array.shape[1:], array.dtype.type)
    return _choices(path, "actions", array)


def _choices(path: Path, key: str, array: np.ndarray) -> gym.Space:
    """Return the space of whole numbers from 0: Discrete for one number at a step, MultiDiscrete for several."""
    highest = array.max(0)
    if np.min(highest) < 0:  # where only some are negative, the check of the data finds the step
        raise DatasetError(f"{path}: {key}: expected whole numbers from 0 up, got at most {np.min(highest)}")
    return spaces.Discrete(int(highest) + 1) if array.ndim == 1 else spaces.MultiDiscrete(highest.astype(np.int64) + 1)
