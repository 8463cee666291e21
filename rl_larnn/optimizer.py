"""Adam for many small tensors: on the CPU, the step and the clipping before it are one native call each.

A policy has some thirty small tensors; torch's own step and ``clip_grad_norm_`` spend most of their time on iterating
over them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from rl_larnn import native

_UNUSUAL = ("weight_decay", "amsgrad", "maximize", "capturable", "differentiable")


class Adam(torch.optim.Adam):
    """``torch.optim.Adam`` with the same arguments and an interchangeable ``state_dict``.

    What the native step does not cover (other devices, weight decay, ``amsgrad`` ...) is left to torch's step.
    """

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient."""
        if closure is not None or not all(self._ordinary(group) for group in self.param_groups):
            return super().step(closure)
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            states = [self.state[parameter] or self._fresh(parameter) for parameter in parameters]
            tensors = (
                parameters,
                [parameter.grad for parameter in parameters],
                *([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")),
            )
            settings = (ctypes.c_double * 4)(group["lr"], *group["betas"], group["eps"])
            native.run_on_lists("adam_step", tensors, settings)
            torch.autograd.graph.increment_version(parameters)  # autograd does not see what the kernel changed
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """torch's ``zero_grad``, without its profiler hooks."""
        if not set_to_none:
            super().zero_grad(set_to_none)
        for group in self.param_groups if set_to_none else ():
            for parameter in group["params"]:
                parameter.grad = None

    def _ordinary(self, group: dict[str, Any]) -> bool:
        counts = [state["step"] for parameter in group["params"] if (state := self.state[parameter])]
        known = all(isinstance(count, Tensor) and count.dtype == torch.float32 for count in counts)
        return known and not any(group[name] for name in _UNUSUAL) and _plain(group["params"])

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        state["step"] = torch.zeros((), dtype=torch.float32)
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


def clip_gradients(parameters: Sequence[Tensor], maximum: float) -> None:
    """Scale all gradients down so that their common norm is at most ``maximum``."""
    if not _plain(parameters):
        torch.nn.utils.clip_grad_norm_(parameters, maximum)
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if gradients:
        native.run_on_lists("clip_gradients", (gradients,), ctypes.c_double(maximum))


_KIND = attrgetter("dtype", "device", "layout")


def _plain(parameters: Sequence[Tensor]) -> bool:
    """Whether the kernels can read and write these parameters and their gradients."""
    if not native.usable(parameters[0], "adam"):
        return False
    tensors = [*parameters, *(parameter.grad for parameter in parameters if parameter.grad is not None)]
    return len(set(map(_KIND, tensors))) == 1 and all(map(Tensor.is_contiguous, tensors))
