"""What memories hold, in seconds: no recorded score may drop, and the probes measure what they should.

The scores are recorded in ``tests/data/probes.json``. Where a change is meant to lower one, record all anew (minutes):

    python scripts/probe_memory.py --out tests/data/probes.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rl_larnn.agents.probes import (
    PROBES,
    STANDARD_MEMORIES,
    MemoryConfig,
    Probe,
    fitted_score,
    readout,
    untrained_scores,
)
from rl_larnn.errors import UserError
from tests.probe_cases import Identity, NoState, Window, answer_shown, every_kind, untrained

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "data" / "probes.json"
COMMAND = "python scripts/probe_memory.py --out tests/data/probes.json"
TOLERANCE = 0.02
CHEAP = [("lag 3", "gru"), ("lag 3", "larnn"), ("lag 3", "aaren")]  # the fits that every run of the tests repeats


def dropped(recorded: Mapping[str, Any], name: str, weights: str, measured: Mapping[str, float]) -> list[str]:
    """A line for each score that is over :data:`TOLERANCE` below the recorded one, or not recorded at all."""
    known = recorded.get(name, {}).get(weights, {})
    lines = [
        f"{weights} {name} fell on {probe!r} from {known[probe]:.3f} to {score:.3f}"
        if probe in known
        else f"{weights} {name} has no recorded score on {probe!r}"
        for probe, score in measured.items()
        if probe not in known or score < known[probe] - TOLERANCE
    ]
    return [f"{line}; if that is meant, record anew: {COMMAND}" for line in lines]


@cache
def untrained_golden(name: str) -> dict[str, float]:
    (memory,) = (memory for memory in STANDARD_MEMORIES if str(memory) == name)
    return untrained_scores(memory)


def recorded_scores() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))["scores"]  # type: ignore[no-any-return]


# ---------------------------------------------------------------------- recorded scores

#: A new memory may do without recorded scores.
RECORDED = [memory for memory in STANDARD_MEMORIES if str(memory) in recorded_scores()]


@pytest.mark.parametrize(
    "memory",
    [pytest.param(one, marks=pytest.mark.slow) if str(one) == "transformer" else one for one in RECORDED],
    ids=str,
)
def test_no_untrained_score_drops(memory: MemoryConfig) -> None:
    assert dropped(recorded_scores(), str(memory), "untrained", untrained_golden(str(memory))) == []


FITS = [
    pytest.param(memory, name, id=f"{name}-{memory}", marks=[] if (name, str(memory)) in CHEAP else pytest.mark.slow)
    for memory in RECORDED
    for name in PROBES
]


@pytest.mark.parametrize("memory, probe", FITS)
def test_no_fitted_score_drops(memory: MemoryConfig, probe: str) -> None:
    measured = {probe: fitted_score(memory, PROBES[probe])}
    assert dropped(recorded_scores(), str(memory), "fitted", measured) == []


def test_nothing_is_recorded_that_is_not_measured() -> None:
    found = {name: {weights: list(own) for weights, own in kinds.items()} for name, kinds in recorded_scores().items()}
    expected = {str(memory): {"untrained": list(PROBES), "fitted": list(PROBES)} for memory in RECORDED}
    assert found == expected and len(found) >= 10, f"record anew: {COMMAND}"


def test_a_drop_is_reported_and_a_rise_is_not() -> None:
    recorded = {"gru": {"untrained": {"lag 1": 0.9, "lag 3": 0.5, "count": 0.5}}}
    measured = {"lag 1": 0.879, "lag 3": 0.481, "count": 0.9}
    assert dropped(recorded, "gru", "untrained", measured) == [
        f"untrained gru fell on 'lag 1' from 0.900 to 0.879; if that is meant, record anew: {COMMAND}"
    ]
    (line,) = dropped(recorded, "gru", "fitted", {"lag 1": 1.0})
    assert "fitted gru has no recorded score on 'lag 1'" in line and COMMAND in line


# ---------------------------------------------------------------------- memories of which the score is known


@every_kind
def test_a_memory_that_is_shown_the_answer_scores_one(probe: Probe) -> None:
    assert untrained(MemoryConfig(Identity), answer_shown(probe)) == pytest.approx(1.0, abs=1e-3)


@every_kind
def test_a_memory_that_holds_nothing_scores_nothing(probe: Probe) -> None:
    # The share of a suit shows in the suit on view, and the velocity a little in the position.
    limit = {"count": 0.35, "velocity": 0.1}.get(probe.name, 0.03)
    assert abs(untrained(MemoryConfig("none"), probe)) < limit


@pytest.mark.parametrize(("lag", "window", "score"), [(1, 1, 0), (1, 2, 1), (31, 31, 0), (31, 32, 1)])
def test_a_window_holds_what_is_in_it(lag: int, window: int, score: float) -> None:
    assert untrained(MemoryConfig(Window, {"window": window}), PROBES[f"lag {lag}"]) == pytest.approx(score, abs=0.03)


def test_a_fit_scores_as_untrained_where_there_is_nothing_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readout, "FIT_STEPS", 3)
    assert fitted_score(MemoryConfig(Window, {"window": 4}), PROBES["lag 3"]) == pytest.approx(1.0)
    assert fitted_score(MemoryConfig(Window, {"window": 3}), PROBES["lag 3"]) == pytest.approx(0.0, abs=0.05)


def test_known_ceilings() -> None:
    average, phases = untrained_golden("aaren recency=none"), untrained_golden("aaren phases=True heads=4")
    # An average does not know the order, but what is in it stays.
    assert average["lag 3"] < 0.3 and average["lag 31"] < 0.15 and average["velocity"] < 0.4
    assert average["first of 64"] > 0.95
    assert phases["lag 3"] > 0.9 and phases["lag 31"] > 0.25
    # The last push is in the velocity but not yet in a position: two positions tell about 0.6 of it, more tell no more.
    two, four = (untrained(MemoryConfig(Window, {"window": window}), PROBES["velocity"]) for window in (2, 4))
    assert 0.55 < two < 0.65 and four == pytest.approx(two, abs=0.01)


def test_scores_are_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readout, "FIT_STEPS", 20)
    probe, memory = PROBES["reversal of 8"], MemoryConfig("gru", {"hidden_size": 8})
    before = torch.get_rng_state()
    scores = [(untrained(memory, probe), fitted_score(memory, probe)) for _ in range(2)]
    assert scores[0] == scores[1]
    assert torch.equal(before, torch.get_rng_state())  # the global random numbers are not used


class NotFinite(Identity):
    def step(self, x: Tensor, state: NoState) -> tuple[Tensor, NoState]:
        return x / 0, state


def test_a_memory_that_is_not_finite_is_refused() -> None:
    with pytest.raises(UserError, match="finite outputs of the memory, got others on the probe 'lag 1'"):
        untrained(MemoryConfig(NotFinite), PROBES["lag 1"])
