"""What every script does alike: reading its arguments, telling a mistake on one line, ending with the right status."""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from rl_larnn.errors import Interrupted, UserError


class Parser(argparse.ArgumentParser):
    """Takes options by their full names only, and tells what is wrong with them on one line."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def script(
    *mistakes: type[Exception], goes_on: bool = False
) -> Callable[[Callable[[], int | None]], Callable[[], int]]:
    """Makes what a script does into its ``main``, which returns the exit status and never shows a traceback.

    The status is what the function returns (None: 0), 2 after a mistake of the user's, 128 plus a signal's number.

    :param mistakes: errors to tell on one line, beside :class:`UserError` and those of the file system
    :param goes_on: the same command goes on where it was stopped; SIGTERM then does what Ctrl-C does
    """

    def wrap(body: Callable[[], int | None]) -> Callable[[], int]:
        @functools.wraps(body)
        def main() -> int:
            if os.getcwd() not in sys.path:
                sys.path.append(os.getcwd())  # where a memory of the user's own lies, as with python -m
            if goes_on:
                signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                status = body() or 0
                sys.stdout.flush()
                return status
            except BrokenPipeError:  # who reads has read enough, as after | head
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                return 128 + signal.SIGPIPE
            except (UserError, OSError, *mistakes) as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            except Interrupted as stop:
                command = shlex.join(["python", sys.argv[0], "--resume", str(stop.folder)])
                print(f"stopped at {stop.unit} {stop.steps}; continue with: {command}", file=sys.stderr)
                return stop.exit_status
            except KeyboardInterrupt:
                if goes_on:
                    print(f"stopped; go on with: {shlex.join(['python', *sys.argv])}", file=sys.stderr)
                return 128 + signal.SIGINT

        return main

    return wrap


def typed(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given a value on the command line, by name."""
    return {key: value for key, value in vars(arguments).items() if value is not None and value != []}


def refuse_beside_resume(given: Iterable[str], allowed: Iterable[str]) -> None:
    """A run that goes on takes its settings from itself.

    :raises UserError: naming the options that were given though --resume takes them from the run
    """
    if refused := sorted("--" + name.replace("_", "-") for name in {*given} - {"resume", *allowed}):
        raise UserError(f"--resume takes all but -n and --device from the run itself, got {', '.join(refused)} as well")


def this_command() -> str:
    """What was typed, as from the repository's own folder: what a page says of how to repeat it."""
    return shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def next_command(name: str, *arguments: str) -> str:
    """What to type to run another script."""
    return shlex.join(["python", str(Path(sys.argv[0]).with_name(name)), *arguments])


def status_of(failures: Iterable[str]) -> int:
    """Prints which runs of a suite failed, one per line; the exit status is 1 if any did."""
    lines = [f"failed: {failure}" for failure in failures]
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0
