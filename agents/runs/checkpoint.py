"""The checkpoint of a run, loadable at every instant: model, statistics of normalisation and random numbers."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION, refuse_no_folder
from rl_larnn.errors import UserError
from rl_larnn.files import replace_folder, replacing

STATE = "state.json"

#: Seconds after which a checkpoint is due, however little was done.
CHECKPOINT_SECONDS = 60.0


def replace_checkpoint(run: Path, write: Callable[[Path], None]) -> Path:
    """:func:`replace_folder` for the checkpoint."""
    return replace_folder(run, "checkpoint", write)


def _places(run: Path) -> tuple[Path, Path]:
    """Where the newest whole checkpoint is: the second only where a kill left no other."""
    return run / "checkpoint", run / "checkpoint.old"


def has_checkpoint(run: Path) -> bool:
    """Whether there is something to go on from."""
    return any(folder.is_dir() for folder in _places(run))


def find_checkpoint(run: Path) -> Path:
    """The folder of the newest whole checkpoint of a run.

    :raises UserError: if there is none
    """
    refuse_no_folder(run)
    for folder in _places(run):
        if folder.is_dir():
            return folder
    raise UserError(f"expected a run folder with a checkpoint, got {run}, which has none")


def save_model(model: OnPolicyAlgorithm, folder: Path) -> None:
    """Write ``model.zip`` and, where the environments are normalised, ``vecnormalize.pkl``."""
    with replacing(folder / MODEL) as temporary:
        # Given an open file, Stable-Baselines3 adds no suffix to its name.
        with temporary.open("wb") as file:
            model.save(file)
    normalizer = model.get_vec_normalize_env()  # which may lie under others of Stable-Baselines3's wrappers
    if normalizer is not None:
        with replacing(folder / NORMALIZATION) as temporary:
            normalizer.save(str(temporary))


def save_generators() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's global generators (CPU and every GPU), as plain data."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, internal, spare = random.getstate()
    return {
        "python": [version, list(internal), spare],
        "numpy": [name, [int(key) for key in keys], position, has_gauss, gauss],
        "torch": _text(torch.get_rng_state()),
        "cuda": [_text(state) for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
    }


def restore_generators(saved: dict[str, Any]) -> None:
    """Set the generators as they were. On a machine with other GPUs those keep their own state."""
    version, internal, spare = saved["python"]
    random.setstate((version, tuple(internal), spare))
    name, keys, *rest = saved["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(_tensor(saved["torch"]))
    if saved["cuda"] and len(saved["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([_tensor(text) for text in saved["cuda"]])


def _text(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
