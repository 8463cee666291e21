"""What a memory can hold, in seconds and without reinforcement learning: linear readouts of known answers."""

from rl_larnn.agents.probes.panel import (
    PANEL,
    Scores,
    Subject,
    fitted_score,
    measure_panel,
    untrained_scores,
)
from rl_larnn.agents.probes.report import markdown, rows, to_json, writer
from rl_larnn.agents.probes.table import PROBES, Probe

__all__ = [
    "PANEL",
    "PROBES",
    "Probe",
    "Scores",
    "Subject",
    "fitted_score",
    "markdown",
    "measure_panel",
    "rows",
    "to_json",
    "untrained_scores",
    "writer",
]
