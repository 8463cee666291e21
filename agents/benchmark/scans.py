"""Forward and backward time of a memory over a sequence, against its own loop over steps and against ``nn.LSTM``.

Letters: T time, B batch rows, A heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from rl_larnn.agents.benchmark.timing import Times, take_turns
from rl_larnn.agents.benchmark.training import MEMORY_OPTIONS
from rl_larnn.agents.reporting.reporter import Bar
from rl_larnn.memories import build_memory
from rl_larnn.memory import Memory
from rl_larnn.scan import AverageState, average_scan

TORCH_LSTM, LOOP = "torch.nn.LSTM, no starts", "loop over steps"
UNITS, ROWS = 64, 8
START_SHARE = 0.05  # of all steps; nn.LSTM gets none, since it knows none


def _forward_backward(run: Callable[[], torch.Tensor], parameters: Sequence[torch.Tensor]) -> Callable[[], object]:
    def once() -> None:
        for parameter in parameters:
            parameter.grad = None
        run().sum().backward()

    return once


def torch_lstm(steps: int, rows: int, device: str, units: int = UNITS) -> Callable[[], object]:
    """Forward and backward of ``nn.LSTM`` on random inputs."""
    lstm = nn.LSTM(units, units, device=device)
    xs = torch.randn(steps, rows, units, device=device)
    return _forward_backward(lambda: lstm(xs)[0], list(lstm.parameters()))


def scan_of(memory: Memory, steps: int, rows: int, loop: bool = False) -> Callable[[], object]:
    """Forward and backward of a memory's scan, or of the loop over its steps."""
    xs = torch.randn(steps, rows, memory.input_size).to(memory.zeros(0))
    starts = (torch.rand(steps, rows) < START_SHARE).to(xs.device)
    state, scan = memory.initial_state(rows), (lambda *a: Memory.scan(memory, *a)) if loop else memory.scan
    return _forward_backward(lambda: scan(xs, state, starts)[0], list(memory.parameters()))


def step_of(memory: Memory, rows: int) -> Callable[[], object]:
    """One step as it is taken when acting, a scan of length one after a full window."""
    xs = torch.randn(100, rows, memory.input_size).to(memory.zeros(0))
    starts = torch.zeros(100, rows, dtype=torch.bool, device=xs.device)
    with torch.no_grad():
        state = memory.scan(xs, memory.initial_state(rows), starts)[1]

    def once() -> None:
        with torch.no_grad():
            memory.scan(xs[:1], state, starts[:1])

    return once


def average(steps: int, device: str, rows: int = ROWS, heads: int = 4, width: int = 16) -> Callable[[], object]:
    """Forward and backward of Aaren's attention alone, on random scores and values."""
    scores = torch.randn(steps, rows, heads, device=device, requires_grad=True)
    values = torch.randn(steps, rows, heads, width, device=device, requires_grad=True)
    decay = torch.full((heads,), 0.1, device=device, requires_grad=True)
    starts = torch.rand(steps, rows, device=device) < START_SHARE
    state = AverageState(*(torch.zeros(rows, heads, *more, device=device) for more in ((), (), (width,))))
    return _forward_backward(lambda: average_scan(scores, values, decay, state, starts)[0], [scores, values, decay])


def measure_scans(
    lengths: Sequence[int], loops_up_to: int, rounds: int, device: str, bar: Bar
) -> dict[int, dict[str, Times]]:
    """Per length T: seconds of each memory's scan, of its loop (named ``lstm, loop over steps``) and of ``nn.LSTM``."""
    found = {}
    for steps in lengths:
        turns = {TORCH_LSTM: torch_lstm(steps, ROWS, device), "Aaren's average alone": average(steps, device)}
        for name in MEMORY_OPTIONS:
            if name == "none":
                continue
            memory = build_memory(name, UNITS, MEMORY_OPTIONS[name]).to(device)
            turns[name] = scan_of(memory, steps, ROWS)
            if steps <= loops_up_to:
                turns[f"{name}, {LOOP}"] = scan_of(memory, steps, ROWS, loop=True)
        bar.note(f"sequences of {steps} steps")
        found[steps] = take_turns(turns, rounds, repeat_for=0.05)
    return found


#: T, rows, units, window, heads of the LARNN comparisons.
LARNN_SIZES = [(128, 16, 64, 16, 4), (128, 256, 81, 38, 3)]


def measure_larnn(rounds: int, device: str, bar: Bar) -> dict[str, dict[str, Times]]:
    """LARNN's scan against the loop of the original, which projects every cell of the window anew at every step."""
    found = {}
    for steps, rows, units, window, heads in LARNN_SIZES:
        options = {"hidden_size": units, "window": window, "heads": heads}
        memory = build_memory("larnn", units, options).to(device)
        turns = {"larnn": scan_of(memory, steps, rows), LOOP: scan_of(memory, steps, rows, loop=True)}
        name = f"T = {steps}, {rows} rows, {units} units, window {window}"
        bar.note(f"larnn, {name}")
        found[name] = take_turns(turns, rounds)
    return found


#: LARNN's windows that are compared, and a memory without one.
LARNN_WINDOWS, WINDOWLESS = (2, 4, 8, 16, 32, 64), "lstm"


def measure_windows(rounds: int, device: str, bar: Bar) -> dict[str, dict[str, Times]]:
    """Seconds of a sequence (128 steps, 16 rows) and of one step, for LARNN by window and for an LSTM."""
    memories = {WINDOWLESS: build_memory(WINDOWLESS, UNITS, {"hidden_size": UNITS}).to(device)}
    for window in LARNN_WINDOWS:
        options = {"hidden_size": UNITS, "window": window, "heads": 4}
        memories[str(window)] = build_memory("larnn", UNITS, options).to(device)
    sequences = {name: scan_of(memory, 128, 16) for name, memory in memories.items()}
    taken = take_turns(sequences, rounds, 2, 0.05, bar, "sequences, window ")
    steps = {name: step_of(memory, 16) for name, memory in memories.items()}
    acting = take_turns(steps, rounds, 2, 0.05, bar, "steps, window ")
    return {name: {"sequence": taken[name], "step": acting[name]} for name in memories}


def measure_average(rounds: int, device: str, bar: Bar) -> dict[int, dict[str, Times]]:
    """Seconds of Aaren's average alone for lengths up to 16,384."""
    turns = {steps: average(steps, device) for steps in (1024, 4096, 16384)}
    times = take_turns(turns, rounds, repeat_for=0.1, bar=bar, label="Aaren's average, T = ")
    return {steps: {"seconds": taken} for steps, taken in times.items()}
