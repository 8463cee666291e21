"""How every script reads its arguments, reports mistakes and ends."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from types import ModuleType

import pytest

from rl_larnn.errors import Interrupted, UserError
from tests.script_cases import SCRIPTS, caller

NAMES = sorted(path.stem for path in SCRIPTS.glob("*.py") if path.stem != "command_line")


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    monkeypatch.setattr(sys, "argv", ["scripts/a script.py", "--seed", "1"])
    import command_line

    return command_line


@pytest.mark.parametrize("name", NAMES)
def test_every_script_has_help_and_reports_a_wrong_option_on_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = caller(name, monkeypatch, capsys)
    status, out, err = run("--colour")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: ") and err.endswith("; see --help\n")
    with pytest.raises(SystemExit) as stop:
        run("--help")
    assert stop.value.code == 0 and capsys.readouterr().out.startswith(f"usage: {name}.py")


def test_who_has_read_enough_may_leave(tmp_path: Path) -> None:
    """As in ``| head -1``: no line about it, whether the rest was written at once or at the end."""
    for lines in (2, 100_000):
        script = tmp_path / "script.py"
        script.write_text(
            f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n"
            "from command_line import script\n"
            f"@script()\ndef main():\n    sys.stdin.readline()\n    print(*range({lines}), sep='\\n')\n"
            "sys.exit(main())\n"
        )
        buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
        process = subprocess.Popen(
            [sys.executable, str(script)], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=buffered
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stdin.write("go on\n")
        process.stdin.close()
        assert (process.wait(60), process.stderr.read()) == (128 + signal.SIGPIPE, "")
        process.stderr.close()


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def test_what_is_raised_becomes_a_line_and_a_status(
    command_line: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    cases: list[tuple[BaseException, int, str]] = [
        (UserError("no such task"), 2, "error: no such task\n"),
        (FileNotFoundError(2, "No such file", "a.csv"), 2, "error: [Errno 2] No such file: 'a.csv'\n"),
        (KeyError("ours"), 2, "error: 'ours'\n"),
        (KeyboardInterrupt(), 130, ""),
        (
            Interrupted(Path("my run"), 7),
            130,
            "stopped at step 7; continue with: python 'scripts/a script.py' --resume 'my run'\n",
        ),
        (
            Interrupted(Path("run"), 7, signal.SIGTERM, "update"),
            143,
            "stopped at update 7; continue with: python 'scripts/a script.py' --resume run\n",
        ),
    ]
    for error, status, line in cases:
        assert command_line.script(KeyError)(raising(error))() == status, error
        assert tuple(capsys.readouterr()) == ("", line)


def test_a_fault_of_ours_keeps_its_traceback(command_line: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError):
        command_line.script()(raising(ZeroDivisionError()))()


def test_what_is_returned_is_the_status(command_line: ModuleType) -> None:
    assert [command_line.script()(lambda returned=returned: returned)() for returned in (None, 0, 1)] == [0, 0, 1]


def test_a_resumable_script_says_how_and_is_stopped_by_sigterm_too(
    command_line: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        status = command_line.script(resumable=True)(lambda: signal.raise_signal(signal.SIGTERM))()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert status == 130
    assert capsys.readouterr().err == "stopped; resume with: python 'scripts/a script.py' --seed 1\n"


def test_the_next_command_can_be_pasted(command_line: ModuleType) -> None:
    assert shlex.split(command_line.next_command("evaluate_agent.py", "my run")) == [
        "python",
        "scripts/evaluate_agent.py",
        "my run",
    ]


def test_a_page_says_what_was_typed(command_line: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/some/where/scripts/run_suite.py", "--out", "my results"])
    assert command_line.this_command() == "python scripts/run_suite.py --out 'my results'"


def test_modules_beside_the_user_are_found(
    command_line: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory_of_mine.py").write_text("ANSWER = 42")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert command_line.script()(lambda: importlib.import_module("memory_of_mine").ANSWER)() == 42


def test_options_that_were_not_typed_are_left_to_their_owner(command_line: ModuleType) -> None:
    parser = command_line.Parser("Something.")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--episodes", type=int)
    assert command_line.typed(parser.parse_args(["--seed", "0"])) == {"seed": 0}


def test_resume_refuses_what_the_run_knows_itself(command_line: ModuleType) -> None:
    command_line.refuse_beside_resume({"resume": "run", "updates": 3}, {"updates"})
    with pytest.raises(UserError, match="got --env-kwargs, --seed as well"):
        command_line.refuse_beside_resume({"resume": "run", "seed": 3, "env_kwargs": ["a=1"]}, {"updates"})


def test_failures_are_told_and_end_with_one(command_line: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.status_of([]) == 0
    assert command_line.status_of(["a: see its log", "b: see its log"]) == 1
    assert capsys.readouterr().err == "failed: a: see its log\nfailed: b: see its log\n"
