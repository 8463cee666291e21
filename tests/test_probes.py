"""What memories hold, in seconds: no score of the panel may drop, and the instrument itself is right.

The scores are recorded in ``tests/data/probes.json``. Where a change is meant to lower one, record all anew (minutes):

    python scripts/probe_memory.py --out tests/data/probes.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rl_larnn.agents.probes import (
    PANEL,
    PROBES,
    Probe,
    Scores,
    Subject,
    fit,
    fitted_score,
    markdown,
    measure_panel,
    rows,
    to_json,
    untrained_scores,
    writer,
)
from rl_larnn.agents.probes.readout import explained, recall, ridge
from rl_larnn.agents.probes.streams import BLANK, Stream, balancing
from rl_larnn.agents.probes.table import backwards, count, earlier, first
from rl_larnn.errors import UserError
from rl_larnn.memory import Memory
from tests.script_cases import Call, caller

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "data" / "probes.json"
COMMAND = "python scripts/probe_memory.py --out tests/data/probes.json"
TOLERANCE = 0.02
CHEAP = [("lag 3", "gru"), ("lag 3", "larnn"), ("lag 3", "aaren")]  # the fits that every run of the tests repeats

every_subject = pytest.mark.parametrize("subject", PANEL, ids=str)
every_probe = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)


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
def untrained_panel(name: str) -> dict[str, float]:
    (subject,) = (subject for subject in PANEL if str(subject) == name)
    return untrained_scores(subject)


def recorded_scores() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))["scores"]  # type: ignore[no-any-return]


# --- The panel


@pytest.mark.parametrize(
    "subject",
    [pytest.param(one, marks=pytest.mark.slow) if str(one) == "transformer" else one for one in PANEL],
    ids=str,
)
def test_no_untrained_score_drops(subject: Subject) -> None:
    assert dropped(recorded_scores(), str(subject), "untrained", untrained_panel(str(subject))) == []


FITS = [
    pytest.param(subject, name, id=f"{name}-{subject}", marks=[] if (name, str(subject)) in CHEAP else pytest.mark.slow)
    for subject in PANEL
    for name in PROBES
]


@pytest.mark.parametrize("subject, probe", FITS)
def test_no_fitted_score_drops(subject: Subject, probe: str) -> None:
    measured = {probe: fitted_score(subject, PROBES[probe])}
    assert dropped(recorded_scores(), str(subject), "fitted", measured) == []


def test_nothing_is_recorded_that_is_not_measured() -> None:
    found = {name: {weights: list(own) for weights, own in kinds.items()} for name, kinds in recorded_scores().items()}
    expected = {str(subject): {"untrained": list(PROBES), "fitted": list(PROBES)} for subject in PANEL}
    assert found == expected, f"record anew: {COMMAND}"


def test_a_drop_is_told_and_a_rise_is_not() -> None:
    recorded = {"gru": {"untrained": {"lag 1": 0.9, "lag 3": 0.5, "count": 0.5}}}
    measured = {"lag 1": 0.879, "lag 3": 0.481, "count": 0.9}
    assert dropped(recorded, "gru", "untrained", measured) == [
        f"untrained gru fell on 'lag 1' from 0.900 to 0.879; if that is meant, record anew: {COMMAND}"
    ]
    (line,) = dropped(recorded, "gru", "fitted", {"lag 1": 1.0})
    assert "fitted gru has no recorded score on 'lag 1'" in line and COMMAND in line


# --- The instrument


class Nothing(NamedTuple):
    nothing: Tensor  # (B, 0)


class PassOn(Memory):
    """Hands on what it sees; in training mode nothing, as scores are of memories at work."""

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size, input_size)

    def initial_state(self, batch_size: int) -> Nothing:
        return Nothing(torch.zeros(batch_size, 0))

    def step(self, x: Tensor, state: Nothing) -> tuple[Tensor, Nothing]:
        return 0 * x if self.training else x, state


class Noise(PassOn):
    """Many numbers that have nothing to do with anything."""

    def scan(self, xs: Tensor, state: Nothing, starts: Tensor) -> tuple[Tensor, Nothing]:
        return torch.randn(*xs.shape[:2], 400, generator=torch.Generator().manual_seed(0)), state


class Past(NamedTuple):
    inputs: Tensor  # (B, W I), newest last


class Window(Memory):
    """Hands on the last ``window`` inputs, and holds nothing else."""

    def __init__(self, input_size: int, window: int) -> None:
        super().__init__(input_size, window * input_size)

    def initial_state(self, batch_size: int) -> Past:
        return Past(torch.zeros(batch_size, self.output_size))

    def step(self, x: Tensor, state: Past) -> tuple[Tensor, Past]:
        inputs = torch.cat([state.inputs[:, self.input_size :], x], dim=1)
        return inputs, Past(inputs)


def untrained(subject: Subject, probe: Probe) -> float:
    return untrained_scores(subject, [probe])[probe.name]


def handed(probe: Probe) -> Probe:
    """The same probe, where the answers stand in the inputs too."""

    def draw(*, seed: int, sequences: int) -> Stream:
        xs, hidden = probe.draw(seed=seed, sequences=sequences)
        return Stream(torch.cat([xs, probe.answers(hidden).float()], dim=-1), hidden)

    return replace(probe, draw=draw)


@every_probe
def test_who_is_handed_the_answer_scores_one(probe: Probe) -> None:
    assert untrained(Subject(PassOn), handed(probe)) == pytest.approx(1.0, abs=1e-3)


@every_probe
def test_who_holds_nothing_scores_nothing(probe: Probe) -> None:
    # The share of a suit shows in the suit on view, and the velocity a little in the position.
    limit = {"count": 0.35, "velocity": 0.1}.get(probe.name, 0.03)
    assert abs(untrained(Subject("none"), probe)) < limit


@pytest.mark.parametrize(
    ("lag", "window", "score"), [(1, 1, 0), (1, 2, 1), (3, 3, 0), (3, 4, 1), (31, 31, 0), (31, 32, 1)]
)
def test_a_window_holds_what_is_in_it(lag: int, window: int, score: float) -> None:
    assert untrained(Subject(Window, {"window": window}), PROBES[f"lag {lag}"]) == pytest.approx(score, abs=0.03)


def test_a_fit_scores_as_untrained_where_there_is_nothing_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "STEPS", 3)
    assert fitted_score(Subject(Window, {"window": 4}), PROBES["lag 3"]) == pytest.approx(1.0)
    assert fitted_score(Subject(Window, {"window": 3}), PROBES["lag 3"]) == pytest.approx(0.0, abs=0.05)


def test_known_ceilings() -> None:
    average, phases = untrained_panel("aaren recency=none"), untrained_panel("aaren phases=True heads=4")
    # An average does not know the order, but what is in it stays.
    assert average["lag 3"] < 0.3 and average["lag 31"] < 0.15 and average["velocity"] < 0.4
    assert average["first of 64"] > 0.95
    assert phases["lag 3"] > 0.9 and phases["lag 31"] > 0.25
    # The last push is in the velocity but not yet in a position: two positions tell about 0.6 of it, more tell no more.
    two, four = (untrained(Subject(Window, {"window": window}), PROBES["velocity"]) for window in (2, 4))
    assert 0.55 < two < 0.65 and four == pytest.approx(two, abs=0.01)


def test_scores_are_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "STEPS", 20)
    probe, subject = PROBES["reversal of 8"], Subject("gru", {"hidden_size": 8})
    before = torch.get_rng_state()
    scores = [(untrained(subject, probe), fitted_score(subject, probe)) for _ in range(2)]
    assert scores[0] == scores[1]
    assert torch.equal(before, torch.get_rng_state())  # nobody else's random numbers are used up


# --- Streams and answers


@every_probe
def test_streams_are_drawn_from_the_seed_alone(probe: Probe) -> None:
    draw = getattr(probe.draw, "func").__wrapped__  # noqa: B009
    options = {**getattr(probe.draw, "keywords"), "sequences": 6}  # noqa: B009
    one, again, other = (draw(seed=seed, **options) for seed in (1, 1, 2))
    assert torch.equal(one.xs, again.xs) and torch.equal(one.hidden, again.hidden)
    assert not torch.equal(one.xs, other.xs)


@every_probe
def test_answers_fit_the_stream(probe: Probe) -> None:
    xs, hidden = probe.draw(seed=0, sequences=probe.sequences)
    answers = probe.answers(hidden)
    assert xs.shape[:2] == hidden.shape[:2] == answers.shape[:2] and xs.dtype == torch.float32
    asked = answers[probe.begin : probe.end].flatten(0, 1).double()
    assert len(asked) >= 4 * probe.sequences and (asked.std(0) > 0.1).all()


@given(st.integers(1, 5), st.integers(0, 99))
def test_answers_against_a_plain_loop(lag: int, seed: int) -> None:
    symbols = torch.randint(4, (8, 3), generator=torch.Generator().manual_seed(seed))
    blank = torch.full((8, 3), BLANK)
    echo, opening, counted = earlier(symbols, lag).argmax(-1), first(symbols).argmax(-1), count(symbols).squeeze(-1)
    recited = backwards(torch.cat([symbols, blank])).argmax(-1)
    plain = [[sum(int(symbols[s, b]) == 0 for s in range(t + 1)) for b in range(3)] for t in range(8)]
    standard = (np.array(plain) - np.mean(plain)) / np.std(plain, ddof=1)
    for t in range(8):
        for b in range(3):
            assert opening[t, b] == symbols[0, b] and recited[8 + t, b] == symbols[7 - t, b]
            assert t < lag or echo[t, b] == symbols[t - lag, b]
    np.testing.assert_allclose(counted, standard)


def test_symbols_are_shown_as_they_are() -> None:
    xs, symbols = PROBES["reversal of 8"].draw(seed=0, sequences=5)
    assert (symbols[:8] >= 0).all() and (symbols[8:] == BLANK).all()
    for t in range(16):
        for b in range(5):
            suits = [float(symbols[t, b] == suit) for suit in range(4)]
            assert xs[t, b].tolist() == [*suits, float(t == 0)]


def test_a_count_cannot_be_told_by_the_time() -> None:
    shares = (PROBES["count"].draw(seed=0, sequences=200).hidden == 0).double().mean(0)
    assert shares.min() < 0.05 and shares.max() > 0.95 and shares.mean() == pytest.approx(0.5, abs=0.1)


def test_velocities_are_those_of_the_positions() -> None:
    xs, velocities = balancing(seed=0, sequences=20, steps=12)
    moved = xs.diff(dim=0).double()  # by explicit Euler, the velocity times 0.02 s, in units of the position's spread
    scale = (moved * velocities[:-1]).sum((0, 1)) / velocities[:-1].square().sum((0, 1))
    torch.testing.assert_close(moved, scale * velocities[:-1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(xs.std((0, 1)), torch.ones(2), rtol=0.01, atol=0)


# --- Readout and scores


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_without_noise_a_readout_is_least_squares() -> None:
    features, answers, unseen = 3 * random(50, 4) + 1, random(50, 2, seed=1), random(9, 4, seed=2)
    bordered = np.hstack([features, np.ones((50, 1))])
    expected = np.hstack([unseen, np.ones((9, 1))]) @ np.linalg.lstsq(bordered, answers.numpy())[0]
    np.testing.assert_allclose(ridge(features, answers, noise=0.0)(unseen), expected)


def test_with_noise_a_readout_is_least_squares_on_noisy_copies() -> None:
    features, unseen, copies = random(40, 3), random(9, 3, seed=2), 4000
    answers = features @ random(3, 1, seed=1)
    noise = 0.5 * features.std(0, correction=0) * random(copies, 40, 3, seed=3)
    expected = ridge((features + noise).flatten(0, 1), answers.repeat(copies, 1), noise=0.0)(unseen)
    torch.testing.assert_close(ridge(features, answers, noise=0.5)(unseen), expected, rtol=0.02, atol=0.01)


@pytest.mark.parametrize(("strength", "found"), [(1e-1, True), (1e-5, False)])
def test_what_is_fainter_than_the_noise_counts_as_lost(strength: float, found: bool) -> None:
    loud, answers = random(500, 1), random(500, 1, seed=1)
    features = torch.cat([loud, loud + strength * answers], dim=1)
    assert (explained(ridge(features, answers)(features), answers) > 0.9) == found


def test_a_constant_feature_is_of_no_use() -> None:
    answers = random(100, 1)
    rounding = torch.full((100, 1), 0.7, dtype=torch.float64) + 1e-8 * answers
    predicted = ridge(rounding, answers)(rounding)
    torch.testing.assert_close(predicted, answers.mean().expand(100, 1))


@given(st.floats(-100, 100), st.floats(0.1, 100))
def test_the_scale_of_outputs_does_not_matter(shift: float, scale: float) -> None:
    features, answers, unseen = random(60, 4), random(60, 1, seed=1), random(9, 4, seed=2)
    expected = ridge(features, answers)(unseen)
    torch.testing.assert_close(ridge(scale * features + shift, answers)(scale * unseen + shift), expected)


def test_scores_by_hand() -> None:
    answers = torch.eye(4, dtype=torch.float64)
    predicted = answers.clone()
    assert recall(predicted, answers) == 1.0
    predicted[0] = torch.tensor([0.1, 0.9, 0.0, 0.0])
    assert recall(predicted, answers) == pytest.approx((0.75 - 0.25) / 0.75)
    assert recall(torch.ones(4, 4), answers) == 0.0  # always the first symbol: right once in four
    truth = torch.tensor([[0.0, 10.0], [2.0, 14.0]])
    assert explained(truth, truth) == 1.0
    assert explained(truth.mean(0).expand(2, 2), truth) == 0.0
    halves = torch.tensor([[0.5, 12.0], [1.5, 12.0]])  # errors 0.25 of a variance of 1; all of a variance of 4
    assert explained(halves, truth) == pytest.approx((0.75 + 0.0) / 2)


class Broken(PassOn):
    def step(self, x: Tensor, state: Nothing) -> tuple[Tensor, Nothing]:
        return x / 0, state


def test_a_memory_that_is_not_finite_is_told() -> None:
    with pytest.raises(UserError, match="finite outputs of the memory, got others on the probe 'lag 1'"):
        untrained(Subject(Broken), PROBES["lag 1"])


# --- Report and command line

SMALL = {"gru": Scores({"lag 1": 0.5, "count": -0.001}, {"lag 1": 0.75}), "none": Scores({"lag 1": 0.12345})}


def test_rows_and_markdown() -> None:
    header, cells = rows(SMALL)
    assert header == ["memory", "weights", "lag 1", "count"]
    assert cells == [
        ["gru", "untrained", "0.50", "0.00"],
        ["gru", "fitted", "0.75", ""],
        ["none", "untrained", "0.12", ""],
    ]
    assert markdown(SMALL).splitlines()[1:3] == ["| --- | --- | ---: | ---: |", "| `gru` | untrained | 0.50 | 0.00 |"]


def test_json_holds_what_was_measured() -> None:
    data = json.loads(json.dumps(to_json(SMALL)))
    assert data["scores"]["gru"] == {"untrained": {"lag 1": 0.5, "count": -0.001}, "fitted": {"lag 1": 0.75}}
    assert data["scores"]["none"] == {"untrained": {"lag 1": 0.1235}} and "torch" in data["versions"]


def test_every_kind_of_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("panel.json", "panel.md", "panel.png", "panel.svg"):
        writer(tmp_path / name)(SMALL)
    assert json.loads((tmp_path / "panel.json").read_text()) == to_json(SMALL)
    assert (tmp_path / "panel.md").read_text() == markdown(SMALL) + "\n"
    assert (tmp_path / "panel.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "panel.svg").read_text() and len(list(tmp_path.iterdir())) == 4


def test_progress_goes_from_nothing_to_all() -> None:
    told: list[tuple[float, str]] = []
    probes = [PROBES["lag 1"], PROBES["lag 3"]]
    panel = measure_panel([Subject("none"), Subject("elman")], probes, False, lambda *news: told.append(news))
    assert told == [(0.0, "none, untrained"), (0.5, "elman, untrained"), (1.0, "")]
    assert list(panel) == ["none", "elman"] and panel["elman"].untrained["lag 1"] > 0.9 and not panel["elman"].fitted


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(tmp_path)
    return caller("probe_memory", monkeypatch, capsys)


def test_the_script_prints_and_writes(call: Call, tmp_path: Path) -> None:
    arguments = ("--memory", "gru", "--set", "hidden_size=4", "--probes", "reversal of 8", "--out", "a.json", "a.md")
    status, out, err = call(*arguments)
    assert (status, err) == (0, "")
    scores = json.loads((tmp_path / "a.json").read_text())["scores"]["gru hidden_size=4"]
    assert set(scores) == {"untrained", "fitted"}
    for own in scores.values():
        text = f"{own['reversal of 8']:.2f}"
        assert text in out and text in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "arena"], "unknown memory 'arena'; did you mean aaren or larnn?"),
        (["--memory", "gru", "--set", "window=3"], "memory 'gru' has no option 'window'"),
        (["--memory", "gru", "--set", "layers=many"], "the option layers expects int, got 'many'"),
        (["--memory", "larnn", "--set", "heads=7"], "heads must divide hidden_size"),
        (["--memory", "gru", "lstm", "--set", "layers=2"], "--set goes with one --memory, got 2"),
        (["--set", "layers=2"], "--set goes with one --memory, got 0"),
        (["--probes", "lag 2"], "invalid choice: 'lag 2'"),
        (["--out", "scores.txt"], "its name should end in .json, .md or one of"),
        (["--out", "nowhere/scores.json"], "there is no folder nowhere"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(call: Call, arguments: list[str], message: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and message in err
