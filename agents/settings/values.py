"""Settings as text: what may stand after ``key=`` on a command line and in ``config.json``. No code is ever run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stable_baselines3.common.utils import LinearSchedule

from rl_larnn.errors import UserError

_WORDS = {"true": True, "false": False, "none": None}
_SCHEDULE = re.compile(r"linear\(([^,()]+)(?:,([^,()]+))?\)")
# Text that was meant as a Python value and is broken, rather than a plain word.
_BROKEN = re.compile(r"^[\[({'\"]|[\])}'\"]$|\(")


@dataclass(frozen=True)
class Linear:
    """A value going in a straight line from ``start`` to ``end`` over the training; written linear(start, end)."""

    start: float
    end: float = 0.0

    def schedule(self) -> LinearSchedule:
        """The same line as Stable-Baselines3 writes it, so that a saved model needs nothing of ours for it."""
        return LinearSchedule(self.start, self.end, end_fraction=1.0)

    def __str__(self) -> str:
        return f"linear({self.start!r}, {self.end!r})"


def parse_value(text: str) -> Any:
    """Read a number, a Python literal, true/false/none, ``linear(start[, end])`` or else a plain word.

    :raises UserError: if the text opens a bracket or a quote and is no Python literal
    """
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if schedule := _SCHEDULE.fullmatch(text):
        return _parse_schedule(text, schedule)
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if _BROKEN.search(text):
            raise UserError(
                f"cannot read the value {text!r}: expected a number, a word, true, false, none, "
                "linear(start, end) or a Python literal such as [64, 64]"
            ) from None
        return text


def _parse_schedule(text: str, match: re.Match[str]) -> Linear:
    try:
        return Linear(*(float(number) for number in match.groups() if number is not None))
    except ValueError:
        raise UserError(f"cannot read the schedule {text!r}: expected linear(start) or linear(start, end)") from None


def format_value(value: Any) -> str:
    """The inverse of :func:`parse_value`, exact for literals and :class:`Linear`.

    :raises UserError: if the value is something that text cannot hold, such as an object or a function
    """
    if isinstance(value, Linear):
        return str(value)
    for text in (value, repr(value)) if isinstance(value, str) else (repr(value),):
        try:
            same = parse_value(text)
        except UserError:
            continue
        if type(same) is type(value) and same == value:
            return text
    raise UserError(f"expected a value that can be written as text (a number, word, list, dict ...), got {value!r}")


def parse_pairs(pairs: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Read ``key=value`` arguments; of a key given twice the last one counts.

    :param option: the command-line option they follow, for the message
    :raises UserError: if one has no ``=``, an empty key or an unreadable value
    """
    parsed = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip().isidentifier():
            raise UserError(f"{option} expects key=value, got {pair!r}")
        parsed[key.strip()] = parse_value(text)
    return parsed
