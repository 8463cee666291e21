"""Messages and progress bars of long work: on the terminal for scripts, nowhere for library use.

Take a reporter as the last parameter, ``reporter: Reporter = SILENT``; scripts pass ``TerminalReporter(bars)``. Then::

    reporter.message(f"training into {folder}")
    with reporter.progress(total, "steps") as bar:
        bar.advance(n)  # or bar.reach(done); bar.note("return 12.3")

Without a unit, a note is all that stands beside the bar; without a total there is no bar either, just the note::

    with reporter.progress() as bar:
        bar.note("compiling the kernels")
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

if TYPE_CHECKING:
    from rich.console import RenderableType


class Bar:
    """The progress of some work; this one is not shown."""

    def advance(self, amount: float = 1) -> None:
        """So much more is done."""

    def reach(self, done: float) -> None:
        """So much is done in all."""

    def note(self, text: str) -> None:
        """Show a short text beside the bar, in place of the last."""


class Reporter:
    """Where messages and progress go; this one shows nothing."""

    def message(self, text: str) -> None:
        """Tell the user something."""

    def warning(self, text: str) -> None:
        """Tell the user that something may not be as intended."""

    @contextmanager
    def progress(self, total: float | None = None, unit: str = "", done: float = 0, title: str = "") -> Iterator[Bar]:
        """A bar that disappears at the end.

        :param total: how much there is to do, or ``None`` if that is not known
        :param unit: what is counted, such as ``steps``; the bar then shows how many there are per second
        :param done: how much of the total was done before
        :param title: stands before the bar; for bars with a unit
        """
        yield Bar()

    @contextmanager
    def live(self) -> Iterator[Callable[[RenderableType], None] | None]:
        """A function that shows something of rich's, each time in place of the last; ``None``: print lines instead."""
        yield None


#: For library use.
SILENT = Reporter()


class _TerminalBar(Bar):
    def __init__(self, bar: tqdm[Any], with_unit: bool) -> None:
        self._bar, self._with_unit = bar, with_unit

    def advance(self, amount: float = 1) -> None:
        self._bar.update(amount)

    def reach(self, done: float) -> None:
        self._bar.update(done - self._bar.n)

    def note(self, text: str) -> None:
        if self._with_unit:
            self._bar.set_postfix_str(text, refresh=False)
        else:
            self._bar.set_description_str(text)


class TerminalReporter(Reporter):
    """Messages on standard output, warnings and bars on standard error; no bars where that is no terminal.

    :param bars: whether to show bars at all
    """

    def __init__(self, bars: bool = True) -> None:
        self.bars = bars

    def message(self, text: str) -> None:
        tqdm.write(text)  # keeps out of the way of bars
        sys.stdout.flush()

    def warning(self, text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)

    @contextmanager
    def progress(self, total: float | None = None, unit: str = "", done: float = 0, title: str = "") -> Iterator[Bar]:
        form = None if unit else "{desc}" if total is None else "{percentage:3.0f}%|{bar:40}| {desc} {elapsed}"
        shown = {"unit": f" {unit}", "desc": title or None, "bar_format": form, "smoothing": 0.05, "leave": False}
        with tqdm(total=total, initial=done, disable=None if self.bars else True, **shown) as bar:
            yield _TerminalBar(bar, bool(unit))

    @contextmanager
    def live(self) -> Iterator[Callable[[RenderableType], None] | None]:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        if not (self.bars and console.is_terminal):
            yield None
            return
        with Live(console=console, auto_refresh=False) as live:
            yield lambda content: live.update(content, refresh=True)
