"""What a memory can hold, in seconds and without reinforcement learning: linear readouts of known answers."""

from rl_larnn.agents.probes.measure import (
    STANDARD_MEMORIES,
    MemoryConfig,
    Scores,
    fitted_score,
    measure_memories,
    untrained_scores,
)
from rl_larnn.agents.probes.probe import PROBES, Probe
from rl_larnn.agents.probes.report import file_writer, markdown, rows, to_json

__all__ = [
    "PROBES",
    "STANDARD_MEMORIES",
    "MemoryConfig",
    "Probe",
    "Scores",
    "file_writer",
    "fitted_score",
    "markdown",
    "measure_memories",
    "rows",
    "to_json",
    "untrained_scores",
]
