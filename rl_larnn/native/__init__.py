"""Recurrences as native code, compiled on first use; the torch forms remain as reference and fallback.

A recurrence is a long chain of small steps. In torch each step costs some ten calls of a microsecond or more, several
times the arithmetic; here the loop over time is in C++ and takes rows, not operations, as its unit. Whoever has a
recurrence asks :func:`usable` and, if so, calls :func:`run`; everything outside the loop stays in torch. On GPUs
there is a kernel for Aaren's average (:mod:`rl_larnn.native.gpu`).

``RL_LARNN_NATIVE=0`` switches the kernels off.
"""

from __future__ import annotations

import ctypes
import functools
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rl_larnn.native import build
from rl_larnn.native.build import BuildError

_DTYPES = {torch.float32: "float", torch.float64: "double"}


def usable(like: Tensor, kernel: str) -> bool:
    """Whether there is a kernel for tensors of this device and dtype.

    :param kernel: the prefix of its functions' names: ``lstm``, ``average`` ...
    """
    if like.is_cuda:
        return _on_gpu(kernel) and like.dtype == torch.float32
    return like.is_cpu and like.dtype in _DTYPES and library(like.dtype) is not None


@functools.cache
def _on_gpu(kernel: str) -> bool:
    from rl_larnn.native import gpu  # imports Triton, which takes a second

    return not _switched_off() and gpu.available() and f"{kernel}_forward" in gpu.KERNELS


def _switched_off() -> bool:
    return os.environ.get("RL_LARNN_NATIVE", "1") == "0"


def needs_compiling(like: Tensor) -> bool:
    """Whether the first use with such tensors compiles the kernels: some twenty seconds, once per machine."""
    return like.is_cpu and like.dtype in _DTYPES and not _switched_off() and build.needs_compiling(_DTYPES[like.dtype])


@functools.cache
def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled kernels of one precision; None where there are none, which warns once."""
    if _switched_off():
        return None
    try:
        return build.load(_DTYPES[dtype])
    except BuildError as error:
        warnings.warn(
            f"{error}, so memories train in plain torch, several times slower; install a C++ compiler, "
            "or set RL_LARNN_NATIVE=0 to go on without this warning",
            stacklevel=2,
        )
        return None


def run(kernel: str, tensors: Sequence[Tensor | None], *sizes: int) -> None:
    """Call a kernel, which writes into some of the tensors.

    :param kernel: its name in ``kernels.cpp``
    :param tensors: one per pointer, contiguous, None for null: floats of the first one's dtype, and bool for starts
    :param sizes: one per number, without the number of threads, which comes last and is torch's
    :raises ValueError: for a tensor that is not contiguous
    """
    first = tensors[0]
    assert first is not None
    given = [tensor for tensor in tensors if tensor is not None]
    if not all(map(Tensor.is_contiguous, given)):
        strides = [tensor.stride() for tensor in given if not tensor.is_contiguous()]
        raise ValueError(f"tensors of {kernel} must be contiguous, got strides {strides[0]}")
    if first.is_cuda:
        from rl_larnn.native import gpu

        gpu.run(kernel, tensors, *sizes)
        return
    if len(given) == len(tensors):
        pointers = (ctypes.c_void_p * len(tensors))(*map(Tensor.data_ptr, given))
    else:
        pointers = (ctypes.c_void_p * len(tensors))(*(None if x is None else x.data_ptr() for x in tensors))
    numbers = (ctypes.c_long * (len(sizes) + 1))(*sizes, torch.get_num_threads())
    _look_up(kernel, first.dtype, len(pointers), len(numbers))(pointers, numbers)


@functools.cache
def _look_up(kernel: str, dtype: torch.dtype, pointers: int, sizes: int) -> Callable[..., None]:
    """Look up a kernel and verify its arity."""
    native = library(dtype)
    assert native is not None, "call usable() first"
    takes = (getattr(native, f"pointers_{kernel}")(), getattr(native, f"sizes_{kernel}")())
    if takes != (pointers, sizes):
        raise TypeError(f"{kernel} takes {takes[0]} pointers and {takes[1]} sizes, got {pointers} and {sizes}")
    return getattr(native, f"run_{kernel}")  # type: ignore[no-any-return]


@functools.cache
def length(name: str, dtype: torch.dtype, *sizes: int) -> int:
    """The size of a buffer that one kernel fills for another, for tensors that :func:`usable` accepts.

    :param name: of the buffer in ``kernels.cpp``
    :return: its length in numbers
    """
    return int(getattr(library(dtype), f"length_{name}")((ctypes.c_long * len(sizes))(*sizes)))


class _NoContext:
    """The context of a forward pass that no backward pass follows."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Save nothing."""

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Mark nothing."""


def apply(function: type[torch.autograd.Function], *arguments: Any) -> Any:
    """``function.apply``; where gradients are off, as when acting, its forward pass alone, in a third of the time."""
    if torch.is_grad_enabled():
        return function.apply(*arguments)
    return function.forward(_NoContext(), *arguments)


def run_on_lists(kernel: str, lists: Sequence[Sequence[Tensor]], *numbers: ctypes.Array[Any] | ctypes.c_double) -> None:
    """Call a kernel on lists of tensors, all of the same length.

    :param kernel: its name in ``kernels.cpp``; it takes the lists, the lengths of the tensors, then the numbers
    :param lists: tensors that :func:`usable` accepts, contiguous, the first list's of one dtype
    """
    first = lists[0]
    pointers = [(ctypes.c_void_p * len(first))(*map(Tensor.data_ptr, tensors)) for tensors in lists]
    lengths = (ctypes.c_long * len(first))(*map(Tensor.numel, first))
    arguments = [*pointers, lengths, *numbers]
    addresses = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
    counts = (ctypes.c_long * 2)(len(first), torch.get_num_threads())
    _look_up(kernel, first[0].dtype, len(addresses), 2)(addresses, counts)
