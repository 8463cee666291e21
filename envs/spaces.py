"""Small questions about spaces."""

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


def same_form(first: gym.Space, second: gym.Space) -> bool:
    """Whether what is learnt on values of one space can be applied to values of the other."""
    if isinstance(first, spaces.Box) and isinstance(second, spaces.Box):
        return first.shape == second.shape and (first.dtype == np.uint8) == (second.dtype == np.uint8)
    return bool(first == second)


def shown(space: gym.Space) -> str:
    """A space in short: a Box without the list of its bounds."""
    if isinstance(space, spaces.Box):
        return f"Box({space.low.min():g}, {space.high.max():g}, {space.shape}, {space.dtype})"
    return str(space)
