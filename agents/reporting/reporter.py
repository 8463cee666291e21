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
    """The progress of some work.

    :param shown: what shows it, if anything does
    :param with_unit: a note stands behind the counts of ``shown``; else in place of its description
    """

    def __init__(self, shown: tqdm[Any] | None = None, with_unit: bool = False) -> None:
        self._shown, self._with_unit = shown, with_unit

    def advance(self, amount: float = 1) -> None:
        """So much more is done."""
        if self._shown is not None:
            self._shown.update(amount)

    def reach(self, done: float) -> None:
        """So much is done in all."""
        if self._shown is not None:
            self._shown.update(done - self._shown.n)

    def note(self, text: str) -> None:
        """Show a short text beside the bar, in place of the last."""
        if self._shown is not None and self._with_unit:
            self._shown.set_postfix_str(text, refresh=False)
        elif self._shown is not None:
            self._shown.set_description_str(text)


class Reporter:
    """Where messages and progress go; this one shows nothing."""

    bars = False

    def message(self, text: str) -> None:
        """Tell the user something."""

    def warning(self, text: str) -> None:
        """Tell the user that something may not be as intended."""

    @contextmanager
    def progress(self, total: float | None = None, unit: str = "", done: float = 0, title: str = "") -> Iterator[Bar]:
        """A bar that disappears at the end; none where standard error is no terminal.

        :param total: how much there is to do, or ``None`` if that is not known
        :param unit: what is counted, such as ``steps``; the bar then shows how many there are per second
        :param done: how much of the total was done before
        :param title: stands before the bar; for bars with a unit
        """
        if not self.bars:
            yield Bar()
            return
        form = None if unit else "{desc}" if total is None else "{percentage:3.0f}%|{bar:40}| {desc} {elapsed}"
        options = {"unit": f" {unit}", "desc": title or None, "bar_format": form, "smoothing": 0.05, "leave": False}
        with tqdm(total=total, initial=done, disable=None, **options) as shown:
            yield Bar(shown, bool(unit))

    @contextmanager
    def live(self) -> Iterator[Callable[[RenderableType], None] | None]:
        """A function that shows something of rich's, each time in place of the last; ``None``: print lines instead."""
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        if not (self.bars and console.is_terminal):
            yield None
            return
        with Live(console=console, auto_refresh=False) as live:
            yield lambda content: live.update(content, refresh=True)


#: For library use.
SILENT = Reporter()


class TerminalReporter(Reporter):
    """Messages on standard output, warnings and bars on standard error.

    :param bars: whether to show bars at all
    """

    def __init__(self, bars: bool = True) -> None:
        self.bars = bars

    def message(self, text: str) -> None:
        tqdm.write(text)  # keeps out of the way of bars
        sys.stdout.flush()

    def warning(self, text: str) -> None:
        tqdm.write(f"warning: {text}", file=sys.stderr)
