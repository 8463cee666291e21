"""Kernels for GPUs, in Triton, with the arguments of their namesakes for the CPU.

Letters: T time, B batch rows, A heads, D head width.

One program per row and head walks through time. That leaves a GPU far from busy, yet it is one launch per sequence
where a loop in torch needs a dozen per step, and rows times heads programs run side by side. Triton comes with
PyTorch's builds for CUDA; with ``TRITON_INTERPRET=1`` it runs on the CPU, slowly, which is how the tests check it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # a build of PyTorch without it; available() says so
    triton = None


@functools.cache
def available() -> bool:
    """Whether Triton is installed."""
    return triton is not None


def run(
    kernel: str, tensors: Sequence[Tensor | None], steps: int, rows: int, heads: int, width: int, *flags: int
) -> None:
    """Call a kernel of :data:`KERNELS`; arguments as in :func:`rl_larnn.native.run`, of which phases must be None."""
    lanes = triton.next_power_of_2(width)
    given = [tensor for tensor in tensors if tensor is not None]
    KERNELS[kernel][(rows * heads,)](*given, steps, rows, heads, width, *flags, LANES=lanes, num_warps=1)


if triton is not None:

    @triton.jit
    def _average_forward(  # type: ignore[no-untyped-def]
        scores, values, decay, starts, maximum, denominator, numerator, outputs, keeps, takes, denominators,
        T, B, A, D, EVERY_STEP: tl.constexpr, LANES: tl.constexpr,
    ) -> None:  # fmt: skip
        head = tl.program_id(0)
        lane = tl.arange(0, LANES)
        inside = lane < D
        nothing = -float("inf")
        c = tl.load(decay + head % A)  # with EVERY_STEP replaced below
        u = tl.load(denominator + head)
        m = tl.where(u > 0, tl.load(maximum + head), nothing)
        w = tl.load(numerator + head * D + lane, mask=inside, other=0.0)
        at = head.to(tl.int64)
        for t in range(T):
            start = tl.load(starts + t * B + head // A) != 0
            m = tl.where(start, nothing, m)
            u = tl.where(start, 0.0, u)
            w = tl.where(start, 0.0, w)
            s = tl.load(scores + at)
            if EVERY_STEP:
                c = tl.load(decay + at)
            v = tl.load(values + at * D + lane, mask=inside, other=0.0)
            now = tl.maximum(m - c, s)
            keep = tl.exp(m - c - now)
            take = tl.exp(s - now)
            m = now
            u = u * keep + take
            w = w * keep + v * take
            tl.store(keeps + at, keep)
            tl.store(takes + at, take)
            tl.store(denominators + at, u)
            tl.store(outputs + at * D + lane, w / u, mask=inside)
            at += B * A
        tl.store(maximum + head, m)
        tl.store(denominator + head, u)
        tl.store(numerator + head * D + lane, w, mask=inside)

    @triton.jit
    def _average_backward(  # type: ignore[no-untyped-def]
        values, starts, outputs, keeps, takes, denominators, first_denominator, first_numerator, grad_outputs,
        grad_clocks, grad_denominator, grad_numerator, grad_scores, grad_values, grad_keeps,
        T, B, A, D, LANES: tl.constexpr,
    ) -> None:  # fmt: skip
        head = tl.program_id(0)
        lane = tl.arange(0, LANES)
        inside = lane < D
        into_u = tl.load(grad_denominator + head)
        into_w = tl.load(grad_numerator + head * D + lane, mask=inside, other=0.0)
        first_u = tl.load(first_denominator + head)
        first_w = tl.load(first_numerator + head * D + lane, mask=inside, other=0.0)
        at = head.to(tl.int64) + (T - 1) * B * A
        for back in range(T):
            t = T - 1 - back
            before = tl.maximum(at - B * A, head)  # of the step before, or any place that may be read
            start = tl.load(starts + t * B + head // A) != 0
            share = 1.0 / tl.load(denominators + at)
            keep = tl.load(keeps + at)
            take = tl.load(takes + at)
            output = tl.load(outputs + at * D + lane, mask=inside, other=0.0)
            v = tl.load(values + at * D + lane, mask=inside, other=0.0)
            grad = tl.load(grad_outputs + at * D + lane, mask=inside, other=0.0)
            u = tl.where(t > 0, tl.load(denominators + before), first_u)
            w = tl.where(t > 0, tl.load(outputs + before * D + lane, mask=inside, other=0.0) * u, first_w)
            into_w += grad * share
            through_clock = tl.load(grad_clocks + at)
            into_u += (through_clock - tl.sum(grad * output)) * share
            tl.store(grad_scores + at, take * (tl.sum(into_w * v) + into_u) - through_clock)
            tl.store(grad_values + at * D + lane, take * into_w, mask=inside)
            through_keep = keep * (tl.sum(into_w * w) + into_u * u)
            tl.store(grad_keeps + at, tl.where(start, 0.0, through_keep))
            into_u = tl.where(start, 0.0, into_u * keep)
            into_w = tl.where(start, 0.0, into_w * keep)
            at -= B * A
        tl.store(grad_denominator + head, into_u)
        tl.store(grad_numerator + head * D + lane, into_w, mask=inside)

    KERNELS = {"average_forward": _average_forward, "average_backward": _average_backward}
else:
    KERNELS = {}
