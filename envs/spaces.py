"""Small questions about observation spaces, shared by the wrappers."""

from typing import TypeGuard

import gymnasium as gym
import numpy as np
from gymnasium import spaces


def is_vector(space: gym.Space) -> TypeGuard[spaces.Box]:
    """True for a Box of shape (n,)."""
    return isinstance(space, spaces.Box) and len(space.shape) == 1


def is_float_box(space: gym.Space) -> TypeGuard[spaces.Box]:
    """True for a Box of any shape that holds floating-point numbers."""
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)


def has_float_box(space: gym.Space) -> bool:
    """True for a Box of floats and for a Dict that holds one at any depth."""
    if isinstance(space, spaces.Dict):
        return any(has_float_box(part) for part in space.values())
    return is_float_box(space)


def as_float32(box: spaces.Box) -> spaces.Box:
    """The same Box with dtype float32; bounds too large for it become infinite."""
    with np.errstate(over="ignore"):
        return spaces.Box(box.low.astype(np.float32), box.high.astype(np.float32), dtype=np.float32)
