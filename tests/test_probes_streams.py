"""The streams that memories are probed with, and their answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_larnn.agents.probes import (
    PROBES,
    Probe,
)
from rl_larnn.agents.probes.probe import backwards, count, earlier, first
from rl_larnn.agents.probes.streams import BLANK, cartpole
from tests.probe_cases import every_kind


@every_kind
def test_a_stream_depends_on_the_seed_alone_and_answers_fit_it(probe: Probe) -> None:
    draw = getattr(probe.draw, "func").__wrapped__  # noqa: B009
    options = {**getattr(probe.draw, "keywords"), "sequences": 6}  # noqa: B009
    one, again, other = (draw(seed=seed, **options) for seed in (1, 1, 2))
    assert torch.equal(one.xs, again.xs) and torch.equal(one.hidden, again.hidden)
    assert not torch.equal(one.xs, other.xs)
    xs, hidden = probe.draw(seed=0, sequences=probe.sequences)
    answers = probe.answers(hidden)
    assert xs.shape[:2] == hidden.shape[:2] == answers.shape[:2] and xs.dtype == torch.float32
    scored = answers[probe.begin : probe.end].flatten(0, 1).double()
    assert len(scored) >= 4 * probe.sequences and (scored.std(0) > 0.1).all()


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


def test_a_count_does_not_follow_from_the_time() -> None:
    shares = (PROBES["count"].draw(seed=0, sequences=200).hidden == 0).double().mean(0)
    assert shares.min() < 0.05 and shares.max() > 0.95 and shares.mean() == pytest.approx(0.5, abs=0.1)


def test_velocities_are_those_of_the_positions() -> None:
    xs, velocities = cartpole(seed=0, sequences=20, steps=12)
    moved = xs.diff(dim=0).double()  # by explicit Euler, the velocity times 0.02 s, in units of the position's spread
    scale = (moved * velocities[:-1]).sum((0, 1)) / velocities[:-1].square().sum((0, 1))
    torch.testing.assert_close(moved, scale * velocities[:-1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(xs.std((0, 1)), torch.ones(2), rtol=0.01, atol=0)
