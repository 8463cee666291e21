"""The panel: every probe of every memory, untrained and after a short fit.

Letters: T time, B sequences, I inputs, O output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from rl_larnn.agents.probes.fit import fit
from rl_larnn.agents.probes.readout import ridge
from rl_larnn.agents.probes.table import PROBES, Probe
from rl_larnn.agents.settings.memory_names import memory_class, memory_name
from rl_larnn.agents.settings.overrides import as_meant, describe, fits, keyword_types
from rl_larnn.errors import UserError, one_line
from rl_larnn.memories import MEMORIES, build_memory
from rl_larnn.memory import Memory

#: Seeds of the weights and of the sequences; an untrained score is the mean over them.
SEEDS = (0, 1, 2)

#: What a fit learns from: other sequences than those of the scores, so many, and the question at so many steps.
FIT_SEED, FIT_SEQUENCES, FIT_SPAN = 1000, 1024, 16

#: Share of the sequences that a readout is made from; it is scored on the others.
READ_SHARE = 2 / 3


@dataclass(frozen=True)
class Subject:
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
        found = memory_class(self.memory) if isinstance(self.memory, str) else self.memory
        options = dict(self.options)
        for name, hint in keyword_types(found, {"input_size"}).items():
            if name in options:
                options[name] = as_meant(options[name], hint)
                if not fits(options[name], hint):
                    raise UserError(f"the option {name} expects {describe(hint)}, got {options[name]!r}")
        memory = self.memory if self.memory in MEMORIES else found  # by its name, where errors will tell it
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                return build_memory(memory, input_size, options)
            except ValueError as error:
                raise UserError(one_line(error)) from error


#: Every memory of the library as it comes, and Aaren the paper's way, with phases and with what else it can switch on.
PANEL: tuple[Subject, ...] = (
    *map(Subject, MEMORIES),
    Subject("aaren", {"recency": "none"}),
    Subject("aaren", {"phases": True, "heads": 4}),
    Subject("aaren", {"recency": "gate", "phases": True, "clock": True, "heads": 4}),
)


@dataclass
class Scores:
    """Per probe the score before and after the fit."""

    untrained: dict[str, float] = field(default_factory=dict)
    fitted: dict[str, float] = field(default_factory=dict)


def measure_panel(
    subjects: Sequence[Subject],
    probes: Iterable[Probe] = tuple(PROBES.values()),
    fitted: bool = True,
    on_progress: Callable[[float, str], None] = lambda share, what: None,
) -> dict[str, Scores]:
    """All scores, by the names of the subjects.

    :param fitted: the fits too, which take most of the time
    :param on_progress: called with the share that is done and what comes next
    :raises UserError: for an unknown memory or option
    """
    probes = list(probes)
    found = {str(subject): Scores() for subject in subjects}
    fits_to = probes if fitted else []
    parts, done = len(subjects) * (1 + len(fits_to)), 0
    for subject in subjects:
        on_progress(done / parts, f"{subject}, untrained")
        found[str(subject)].untrained = untrained_scores(subject, probes)
        done += 1
        for probe in fits_to:
            on_progress(done / parts, f"{subject}, fitted to {probe.name}")
            found[str(subject)].fitted[probe.name] = fitted_score(subject, probe)
            done += 1
    on_progress(1.0, "")
    return found


def untrained_scores(subject: Subject, probes: Iterable[Probe] = tuple(PROBES.values())) -> dict[str, float]:
    """Per probe the score of random weights, as a mean over :data:`SEEDS`."""
    probes = list(probes)
    found: dict[str, list[float]] = {probe.name: [] for probe in probes}
    for seed in SEEDS:
        outputs: dict[tuple[Any, int], Tensor] = {}
        for probe in probes:
            key = (probe.draw, probe.sequences)
            if key not in outputs:
                xs = probe.draw(seed=seed, sequences=probe.sequences).xs
                outputs[key] = _read(subject.build(xs.shape[-1], seed), xs)
            found[probe.name].append(_score(probe, outputs[key], seed))
    return {name: fmean(scores) for name, scores in found.items()}


def fitted_score(subject: Subject, probe: Probe) -> float:
    """The score after a short fit.

    Of one set of weights, so luck is in it: what is only just learned in the time may not be after any small change.
    """
    xs, hidden = probe.draw(seed=FIT_SEED, sequences=FIT_SEQUENCES)
    # In double precision, rounding, which differs between machines, does not grow into other weights.
    memory = subject.build(xs.shape[-1], SEEDS[0]).double()
    xs, answers = (part[: probe.begin + FIT_SPAN].double() for part in (xs, probe.answers(hidden)))
    fit(memory, xs, answers, probe.begin, probe.kind.loss)
    outputs = _read(memory, probe.draw(seed=SEEDS[0], sequences=probe.sequences).xs[: probe.end].double())
    return _score(probe, outputs, SEEDS[0])


@torch.no_grad()
def _read(memory: Memory, xs: Tensor) -> Tensor:
    """What a memory makes of sequences: ``(T, B, O)``."""
    starts = torch.zeros(xs.shape[:2], dtype=torch.bool)
    return memory.eval().scan(xs, memory.initial_state(xs.shape[1]), starts)[0]


def _score(probe: Probe, outputs: Tensor, seed: int) -> float:
    """How well the answers are read from the outputs ``(T, B, O)`` to the stream of a seed."""
    if not torch.isfinite(outputs).all():
        raise UserError(f"expected finite outputs of the memory, got others on the probe {probe.name!r}")
    hidden = probe.draw(seed=seed, sequences=probe.sequences).hidden
    asked, cut = slice(probe.begin, probe.end), round(READ_SHARE * probe.sequences)
    outputs, answers = outputs[asked].double(), probe.answers(hidden)[asked].double()
    known, unseen = (
        (outputs[:, part].flatten(0, 1), answers[:, part].flatten(0, 1)) for part in (slice(cut), slice(cut, None))
    )
    return probe.kind.score(ridge(*known)(unseen[0]), unseen[1])
