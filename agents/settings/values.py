"""Settings as text, on a command line after ``key=`` and in ``config.json``. Reading them runs no code."""

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
# A malformed Python value, as opposed to a plain word.
_BROKEN = re.compile(r"^[\[({'\"]|[\])}'\"]$|\(")


@dataclass(frozen=True, repr=False)
class Linear:
    """A value that changes linearly from ``start`` to ``end`` over the training; as text: linear(start, end)."""

    start: float
    end: float = 0.0

    def schedule(self) -> LinearSchedule:
        """The same as a schedule of Stable-Baselines3, so that a saved model depends on no class of ours for it."""
        return LinearSchedule(self.start, self.end, end_fraction=1.0)

    def __repr__(self) -> str:
        return f"linear({self.start!r}, {self.end!r})"


def parse_value(text: str) -> Any:
    """Read a number, a Python literal, true/false/none, ``linear(start[, end])`` or, failing these, a plain word.

    :raises UserError: for a bracket or quote in a text that is no Python literal
    """
    text = text.strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if schedule := _SCHEDULE.fullmatch(text):
        try:
            return Linear(*(float(number) for number in schedule.groups() if number is not None))
        except ValueError:
            expected = "linear(start) or linear(start, end)"
            raise UserError(f"cannot read the schedule {text!r}: expected {expected}") from None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if _BROKEN.search(text):
            raise UserError(
                f"cannot read the value {text!r}: expected a number, a word, true, false, none, "
                "linear(start, end) or a Python literal such as [64, 64]"
            ) from None
        return text


def format_value(value: Any) -> str:
    """The inverse of :func:`parse_value`, exact for literals and :class:`Linear`.

    :raises UserError: for a value that has no text form, such as an object or a function
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
    """Read ``key=value`` arguments; the last value of a key counts.

    :param option: the command-line option, for the message
    :raises UserError: if one has no ``=``, an empty key or an unreadable value
    """
    parsed = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip().isidentifier():
            raise UserError(f"{option} expects key=value, got {pair!r}")
        parsed[key.strip()] = parse_value(text)
    return parsed
