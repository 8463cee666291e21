"""Every probe of every memory, untrained and after a short fit. Letters: T time, B sequences, O output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from rl_larnn.agents.probes.probe import PROBES, Probe
from rl_larnn.agents.probes.readout import fit, ridge
from rl_larnn.agents.probes.streams import Draw
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.settings.overrides import checked, keyword_types
from rl_larnn.errors import UserError, one_line
from rl_larnn.memories import MEMORIES, build_memory, find_memory, memory_name
from rl_larnn.memory import Memory

#: Seeds of the weights and of the sequences; an untrained score is the mean over them.
SEEDS = (0, 1, 2)

#: A fit learns from other sequences than those of the scores, so many, and from the answers at so many steps.
FIT_SEED, FIT_SEQUENCES, FIT_SPAN = 1000, 1024, 16

#: Share of the sequences that a readout is made from; it is scored on the others.
READOUT_SHARE = 2 / 3


@dataclass(frozen=True)
class MemoryConfig:
    """A memory with its options.

    :param memory: a name of the table, ``package.module:Class`` or a class
    """

    memory: str | type[Memory]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([memory_name(self.memory), *(f"{name}={value}" for name, value in self.options.items())])

    def build(self, input_size: int, seed: int) -> Memory:
        """The memory with the weights that belong to a seed.

        :raises UserError: for an unknown memory, or an option that it does not take
        """
        found = find_memory(self.memory) if isinstance(self.memory, str) else self.memory
        hints = keyword_types(found, {"input_size"})
        # An option that is not known is refused, with the nearest ones, when the memory is built.
        options = {name: checked(f"option {name}", value, hints.get(name, Any)) for name, value in self.options.items()}
        memory = self.memory if self.memory in MEMORIES else found  # by its name, which errors will show
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return build_memory(memory, input_size, options)
            except ValueError as error:
                raise UserError(one_line(error)) from error


#: Every memory of the library with its defaults, and Aaren the paper's way, with phases and with all its options.
STANDARD_MEMORIES: tuple[MemoryConfig, ...] = (
    *map(MemoryConfig, MEMORIES),
    MemoryConfig("aaren", {"recency": "none"}),
    MemoryConfig("aaren", {"phases": True, "heads": 4}),
    MemoryConfig("aaren", {"recency": "gate", "phases": True, "clock": True, "heads": 4}),
)


#: Of a memory: by its weights, ``"untrained"`` or ``"fitted"``, the score of each probe.
Scores = dict[str, dict[str, float]]


def measure_memories(
    memories: Sequence[MemoryConfig],
    probes: Iterable[Probe] = tuple(PROBES.values()),
    fitted: bool = True,
    reporter: Reporter = SILENT,
) -> dict[str, Scores]:
    """All scores, by the names of the memories.

    :param fitted: the fits too, which take most of the time
    :raises UserError: for an unknown memory or option
    """
    probes = list(probes)
    scores: dict[str, Scores] = {}
    with reporter.progress(len(memories) * (1 + len(probes) * fitted)) as bar:
        for memory in memories:
            bar.note(f"{memory}, untrained")
            own = scores[str(memory)] = {"untrained": untrained_scores(memory, probes)}
            bar.advance()
            for probe in probes if fitted else ():
                bar.note(f"{memory}, fitted to {probe.name}")
                own.setdefault("fitted", {})[probe.name] = fitted_score(memory, probe)
                bar.advance()
    return scores


def untrained_scores(memory: MemoryConfig, probes: Iterable[Probe] = tuple(PROBES.values())) -> dict[str, float]:
    """Per probe the score of random weights, as a mean over :data:`SEEDS`."""

    @cache
    def outputs(draw: Draw, sequences: int, seed: int) -> Tensor:
        xs = draw(seed=seed, sequences=sequences).xs
        return _outputs(memory.build(xs.shape[-1], seed), xs)

    def score(probe: Probe, seed: int) -> float:
        return _score(probe, outputs(probe.draw, probe.sequences, seed), seed)

    return {probe.name: fmean(score(probe, seed) for seed in SEEDS) for probe in probes}


def fitted_score(memory: MemoryConfig, probe: Probe) -> float:
    """The score after a short fit.

    It is of one set of weights, so it depends on luck: any small change may decide whether the fit just succeeds.
    """
    xs, hidden = probe.draw(seed=FIT_SEED, sequences=FIT_SEQUENCES)
    # In double precision, rounding, which differs between machines, does not grow into other weights.
    built = memory.build(xs.shape[-1], SEEDS[0]).double()
    xs, answers = (part[: probe.begin + FIT_SPAN].double() for part in (xs, probe.answers(hidden)))
    fit(built, xs, answers, probe.begin, probe.scoring.loss)
    outputs = _outputs(built, probe.draw(seed=SEEDS[0], sequences=probe.sequences).xs[: probe.end].double())
    return _score(probe, outputs, SEEDS[0])


@torch.no_grad()
def _outputs(memory: Memory, xs: Tensor) -> Tensor:
    """The outputs ``(T, B, O)`` of a memory for sequences."""
    starts = torch.zeros(xs.shape[:2], dtype=torch.bool)
    return memory.eval().scan(xs, memory.initial_state(xs.shape[1]), starts)[0]


def _score(probe: Probe, outputs: Tensor, seed: int) -> float:
    """How well the answers are read from the outputs ``(T, B, O)`` for the stream of a seed."""
    if not torch.isfinite(outputs).all():
        raise UserError(f"expected finite outputs of the memory, got others on the probe {probe.name!r}")
    hidden = probe.draw(seed=seed, sequences=probe.sequences).hidden
    steps, cut = slice(probe.begin, probe.end), round(READOUT_SHARE * probe.sequences)
    outputs, answers = outputs[steps].double(), probe.answers(hidden)[steps].double()
    readout = ridge(outputs[:, :cut].flatten(0, 1), answers[:, :cut].flatten(0, 1))
    return probe.scoring.score(readout(outputs[:, cut:].flatten(0, 1)), answers[:, cut:].flatten(0, 1))
