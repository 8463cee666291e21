"""The probes: which answers a memory should hold. To add one: write its answers here and one line in the table.

Letters: T time, B sequences, K numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor
from torch.nn.functional import one_hot

from rl_larnn.agents.probes.readout import NUMBERS_EXPLAINED, SYMBOLS_RECALLED, Scoring
from rl_larnn.agents.probes.streams import SYMBOLS, Draw, biased_symbols, cartpole, uniform_symbols

#: Steps whose answers are scored: longer streams would be slow, and say little more.
SPAN = 32


@dataclass(frozen=True)
class Probe:
    """One test of a memory.

    :param name: as tables write it
    :param draw: draws a stream of T steps; probes with the same one share a memory's outputs
    :param answers: from the hidden variables of a stream to the answers ``(T, B, K)``, one-hot where they are symbols
    :param begin: the first step whose answer is scored, of :data:`SPAN` or as many as there are
    :param scoring: how answers are scored
    :param sequences: B of a score; more where each sequence has one answer only
    """

    name: str
    draw: Draw
    answers: Callable[[Tensor], Tensor]
    begin: int
    scoring: Scoring = SYMBOLS_RECALLED
    sequences: int = 192

    @property
    def end(self) -> int:
        """The step after the last one whose answer is scored, if the stream is so long."""
        return self.begin + SPAN


def earlier(symbols: Tensor, lag: int) -> Tensor:
    """The symbol of ``lag`` steps ago."""
    return one_hot(symbols.roll(lag, 0), SYMBOLS)


def first(symbols: Tensor) -> Tensor:
    """The symbol of the first step."""
    return one_hot(symbols[:1].expand_as(symbols), SYMBOLS)


def backwards(symbols: Tensor) -> Tensor:
    """While as many blanks follow as there were symbols: the last symbol, the one before it, and so on."""
    return one_hot(symbols.flip(0).clamp(min=0), SYMBOLS)


def count(symbols: Tensor) -> Tensor:
    """How often the first suit was shown up to now."""
    return standardised((symbols == 0).cumsum(0).unsqueeze(-1).double())


def standardised(values: Tensor) -> Tensor:
    """In units of their standard deviation around their mean, so that errors of all probes are of one size."""
    return (values - values.mean((0, 1))) / values.std((0, 1))


_CARDS = partial(uniform_symbols, steps=63 + SPAN)

PROBES: dict[str, Probe] = {
    probe.name: probe
    for probe in (
        *(Probe(f"lag {lag}", _CARDS, partial(earlier, lag=lag), begin=lag) for lag in (1, 3, 31, 63)),
        Probe("first of 64", partial(uniform_symbols, steps=68), first, begin=63, sequences=512),
        Probe("reversal of 8", partial(uniform_symbols, steps=8, blanks=8), backwards, begin=8, sequences=512),
        Probe("count", partial(biased_symbols, steps=16 + SPAN), count, begin=16, scoring=NUMBERS_EXPLAINED),
        # Of the cart and of the pole.
        Probe("velocity", partial(cartpole, steps=4 + SPAN), standardised, begin=4, scoring=NUMBERS_EXPLAINED),
    )
}
