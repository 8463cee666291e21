"""Progress bars on the terminal, for work that tells what share of it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def share_bar(hidden: bool = False) -> Iterator[Callable[[float, str], None]]:
    """A bar that is gone when the work is done; nothing where standard error is no terminal.

    :param hidden: show none in any case
    :return: to be told the share that is done, 0 to 1, and what is going on
    """
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=hidden or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)
