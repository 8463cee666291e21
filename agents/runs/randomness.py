"""The random number generators of a run, saved and restored as text."""

from __future__ import annotations

import base64
import random
from typing import Any

import numpy as np
import torch


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


def derived_seed(seed: int, *purpose: int) -> int:
    """A seed for another purpose than training, far from ``seed``, ``seed + 1`` and so on.

    :param purpose: numbers that tell the purposes apart
    """
    # Environments are seeded with the result plus their index, and Stable-Baselines3 wants 32 bits.
    return int(np.random.SeedSequence((seed, *purpose)).generate_state(1)[0] % 2**31)


def _text(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode("ascii")


def _tensor(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)
