"""The errors that a user can cause, each told on one line, and helpers that word them. Imports nothing of ours."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class UserError(ValueError):
    """A mistake of the user's, told on one complete line: what was expected, what came, the nearest right thing."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal; its last checkpoint can be resumed.

    :param folder: the run's folder
    :param steps: how much the checkpoint has learned from
    :param number: the signal, SIGINT (Ctrl-C, the default) or SIGTERM
    :param unit: what is counted: steps of the environment, or updates
    """

    def __init__(self, folder: Path, steps: int, number: int | None = None, unit: str = "step") -> None:
        number = signal.SIGINT if number is None else number
        super().__init__(f"stopped by {signal.Signals(number).name}; checkpoint at {unit} {steps} in {folder}")
        self.folder = folder
        self.steps = steps
        self.unit = unit
        self.number = int(number)

    @property
    def exit_status(self) -> int:
        """What a shell expects of a program ended by this signal: 128 plus its number (130 for Ctrl-C)."""
        return 128 + self.number


def one_line(error: BaseException) -> str:
    """The message of any exception on one line, or its class name where it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that is not in a table, with the nearest names that are (all of them in a short table)."""
    names = sorted(known)
    lower = {known_name.lower(): known_name for known_name in names}
    nearest = [lower[found] for found in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    if nearest:
        hint = "did you mean " + " or ".join(nearest) + "?"
    else:
        hint = "known: " + ", ".join(names)
    return UserError(f"unknown {kind} {name!r}; {hint}")
