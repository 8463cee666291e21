"""The state of a memory: nested NamedTuples of float tensors, batch first, treated as values.

Letters: B batch rows, D the packed width of a state.

A state never changes in place. Three things are done to it: *select* (start some rows afresh), *detach* (cut the
gradient at the border of a chunk) and *pack* (one matrix ``(B, D)`` for storage, saving and export).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

#: A NamedTuple whose fields are float tensors ``(B, ...)`` or such NamedTuples again.
State: TypeAlias = Any


def leaves(state: State) -> list[Tensor]:
    """The tensors of a state, in the order of its fields."""
    if isinstance(state, Tensor):
        return [state]
    return [leaf for part in state for leaf in leaves(part)]


def map_state(function: Callable[..., Tensor], state: State, *others: State) -> State:
    """Apply ``function`` to each tensor of ``state`` (and its counterparts in ``others``); same structure back."""
    if isinstance(state, Tensor):
        return function(state, *others)
    parts = [map_state(function, *group) for group in zip(state, *others, strict=True)]
    return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)


def select(starts: Tensor, initial: State, state: State) -> State:
    """Take ``initial`` where ``starts`` is true and ``state`` elsewhere, row by row.

    A choice, not a product with ``1 - starts``: zero times NaN is NaN, in the value and in the gradient.

    :param starts: ``(B,)`` bool
    :param initial: state of B rows (or of one row, which is then used for all)
    :param state: state of B rows
    """

    def choose(fresh: Tensor, old: Tensor) -> Tensor:
        # The flag has to be lined up with the *first* axis; plain broadcasting would line it up with the last
        # one and, where B happens to equal a feature width, silently mix rows.
        return torch.where(starts.view(-1, *[1] * (old.dim() - 1)), fresh, old)

    return map_state(choose, initial, state)


def detach(state: State) -> State:
    """The same values, cut off from the graph that made them."""
    return map_state(torch.Tensor.detach, state)


def rows(state: State, index: Any) -> State:
    """The rows ``index`` (anything that indexes the first axis of a tensor and keeps it)."""
    return map_state(lambda leaf: leaf[index], state)


def packed_width(state: State) -> int:
    """D, the number of values that one row of the state holds."""
    return sum(
        leaf[0:1].numel() if leaf.shape[0] else leaf.new_empty((1, *leaf.shape[1:])).numel() for leaf in leaves(state)
    )


def pack(state: State) -> Tensor:
    """One matrix ``(B, D)``: the leaves, flattened per row, side by side."""
    return torch.cat([leaf.unsqueeze(-1).flatten(1) for leaf in leaves(state)], dim=1)  # (B,) is a column, too


def unpack(packed: Tensor, like: State) -> State:
    """Restore a state from :func:`pack`; the inverse is exact.

    :param packed: ``(B, D)``
    :param like: any state of the same memory, for the shapes (its number of rows does not matter)
    :raises ValueError: if D does not fit the shapes of ``like``
    """
    width = packed_width(like)
    if packed.dim() != 2 or packed.shape[1] != width:
        raise ValueError(f"a packed state of this memory has shape (batch, {width}), got {tuple(packed.shape)}")
    position = 0

    def take(leaf: Tensor) -> Tensor:
        nonlocal position
        size = leaf[0:1].numel() if leaf.shape[0] else leaf.new_empty((1, *leaf.shape[1:])).numel()
        piece = packed[:, position : position + size].reshape(packed.shape[0], *leaf.shape[1:])
        position += size
        return piece

    return map_state(take, like)
