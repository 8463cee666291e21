"""The checkpoint of a run, complete at every moment: model, normalisation and states of random generators."""

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

#: Largest time between checkpoints, in seconds.
CHECKPOINT_SECONDS = 60.0


def replace_checkpoint(run: Path, write: Callable[[Path], None]) -> Path:
    """Write a checkpoint in place of the last (:func:`rl_larnn.files.replace_folder`)."""
    return replace_folder(run, "checkpoint", write)


def has_checkpoint(run: Path) -> bool:
    """Whether a run has a checkpoint."""
    # A kill may leave the old one alone.
    return (run / "checkpoint").is_dir() or (run / "checkpoint.old").is_dir()


def find_checkpoint(run: Path) -> Path:
    """The folder of the newest complete checkpoint of a run.

    :raises UserError: if there is none
    """
    refuse_no_folder(run)
    if not has_checkpoint(run):
        raise UserError(f"expected a run folder with a checkpoint, got {run}, which has none")
    return run / "checkpoint" if (run / "checkpoint").is_dir() else run / "checkpoint.old"


def save_model(model: OnPolicyAlgorithm, folder: Path) -> None:
    """Write ``model.zip`` and, if the environments are normalised, ``vecnormalize.pkl``."""
    # Given an open file, Stable-Baselines3 adds no suffix to its name.
    with replacing(folder / MODEL) as temporary, temporary.open("wb") as file:
        model.save(file)
    normalizer = model.get_vec_normalize_env()
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
    """Restore the states of the generators; those of GPUs only if there are as many as before."""
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
