"""Properties and conversions of spaces."""

from typing import TypeGuard

import gymnasium as gym
import numpy as np
from gymnasium import spaces


def is_vector(space: gym.Space) -> TypeGuard[spaces.Box]:
    """Return whether a space is a Box of shape (n,)."""
    return isinstance(space, spaces.Box) and len(space.shape) == 1


def is_float_box(space: gym.Space) -> TypeGuard[spaces.Box]:
    """Return whether a space is a Box, of any shape, of floating-point numbers."""
    return isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)


def has_float_box(space: gym.Space) -> bool:
    """Return whether a space is a Box of floats, or a Dict that holds one at any depth."""
    if isinstance(space, spaces.Dict):
        return any(has_float_box(part) for part in space.values())
    return is_float_box(space)


def as_float32(box: spaces.Box) -> spaces.Box:
    """Return the same Box with dtype float32; bounds that are too large become infinite."""
    with np.errstate(over="ignore"):
        return spaces.Box(box.low.astype(np.float32), box.high.astype(np.float32), dtype=np.float32)


def same_form(first: gym.Space, second: gym.Space) -> bool:
    """Return whether a policy for one space can be applied to the other: bounds and precision of floats may differ."""
    if isinstance(first, spaces.Box) and isinstance(second, spaces.Box):
        return first.shape == second.shape and (first.dtype == np.uint8) == (second.dtype == np.uint8)
    return bool(first == second)


def describe_space(space: gym.Space) -> str:
    """Describe a space in short: a Box by its lowest and highest bound."""
    if isinstance(space, spaces.Box):
        return f"Box({space.low.min():g}, {space.high.max():g}, {space.shape}, {space.dtype})"
    return str(space)
