"""What all scripts share: reading arguments, reporting a mistake on one line, the exit status."""

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
    """Takes options by their full names only, and reports a wrong one on one line."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def script(
    *mistakes: type[Exception], resumable: bool = False
) -> Callable[[Callable[[], int | None]], Callable[[], int]]:
    """Turn a function into the ``main`` of a script, which returns the exit status.

    The status is what the function returns (None: 0), 2 after a mistake of the user, 128 plus the number of a signal.

    :param mistakes: errors to report on one line, beside :class:`UserError` and those of the file system
    :param resumable: the same command resumes what was stopped; SIGTERM then does what Ctrl-C does
    """

    def wrap(body: Callable[[], int | None]) -> Callable[[], int]:
        @functools.wraps(body)
        def main() -> int:
            if os.getcwd() not in sys.path:
                sys.path.append(os.getcwd())  # so that the user's own memories are found, as with python -m
            if resumable:
                signal.signal(signal.SIGTERM, signal.default_int_handler)
            try:
                status = body() or 0
                sys.stdout.flush()
                return status
            except BrokenPipeError:  # nobody reads any more, as after | head
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
                if resumable:
                    print(f"stopped; resume with: {shlex.join(['python', *sys.argv])}", file=sys.stderr)
                return 128 + signal.SIGINT

        return main

    return wrap


def typed(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given on the command line, by name."""
    return {key: value for key, value in vars(arguments).items() if value is not None and value != []}


def refuse_beside_resume(given: Iterable[str], allowed: Iterable[str]) -> None:
    """Refuse options that a resumed run takes from itself.

    :raises UserError: if there are some
    """
    if refused := sorted("--" + name.replace("_", "-") for name in {*given} - {"resume", *allowed}):
        raise UserError(f"--resume takes all but -n and --device from the run itself, got {', '.join(refused)} as well")


def this_command() -> str:
    """The command that is running, as typed in the folder of the repository."""
    return shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def next_command(name: str, *arguments: str) -> str:
    """The command that runs another script."""
    return shlex.join(["python", str(Path(sys.argv[0]).with_name(name)), *arguments])


def status_of(failures: Iterable[str]) -> int:
    """Print the runs of a suite that failed, one per line, and return the exit status: 1 if any did."""
    lines = [f"failed: {failure}" for failure in failures]
    for line in lines:
        print(line, file=sys.stderr)
    return 1 if lines else 0
