"""Measure random scores and floors: python scripts/measure_bounds.py --env CartPole-POMDP, or --all of the table."""

import argparse
import dataclasses
import sys

import gymnasium as gym

from command_line import Parser, script, typed
from rl_larnn.agents.reporting.reporter import TerminalReporter
from rl_larnn.envs import TASKS, find_task, resolve_id
from rl_larnn.envs.bounds.floor import SearchSettings, find_floor, random_score
from rl_larnn.envs.bounds.measure import ROUNDING, STANDARD_ERRORS, Check, check, generations_of, repeatable
from rl_larnn.envs.bounds.memoryless import FAMILIES

QUICK = SearchSettings(generations=4, population=8, elite=3, episodes=2, restarts=1, evaluation_episodes=20)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = Parser((__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--env", help="environment id, for example CartPole-POMDP")
    what.add_argument("--all", action="store_true", help="every score of the table that is computed; 1 if one is off")
    parser.add_argument("--quick", action="store_true", help="small searches; with --all none, and fewer episodes")
    parser.add_argument("--policy", choices=FAMILIES, action="append", help="only this family (repeatable)")
    for field in dataclasses.fields(SearchSettings):
        kind = float if field.name == "spread" else int
        name = field.name.replace("_", "-")
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"default {field.default}")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> None:
    """Measure random score and floor of one environment, and print them with everything needed to repeat them."""
    env_id = resolve_id(arguments.env)
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(SearchSettings)}
    defaults = QUICK if arguments.quick else SearchSettings()
    settings = dataclasses.replace(defaults, **{name: value for name, value in given.items() if value is not None})
    families = [FAMILIES[name] for name in arguments.policy or FAMILIES]
    random = random_score(env_id, settings.evaluation_episodes, settings.seed)
    generations = len(families) * settings.restarts * settings.generations
    with TerminalReporter().progress(generations, "generations") as bar:

        def show(best: float) -> None:
            bar.note(f"best {best:.1f}")
            bar.advance()

        found = find_floor(env_id, settings, families, show)
    print(f"environment  {env_id} (gymnasium {gym.__version__})")
    print(f"settings     {settings}, families {', '.join(family.name for family in families)}")
    print(f"random       {random}")
    print(f"floor        {found.score} by {found.family}")
    print(f"parameters   {[round(float(number), 3) for number in found.parameters]}")
    if task := find_task(env_id):
        print(f"in the table random {task.random.value}, floor {task.floor.value}, ceiling {task.ceiling.value}")


def measure_all(quick: bool) -> int:
    """Measure the table again with the arguments of its rows; return 1 if a score is off, else 0."""
    work = [(task, name) for task in TASKS.values() for name in repeatable(task, quick)]
    checks: list[Check] = []
    reporter = TerminalReporter()
    with reporter.progress(sum(1 + generations_of(getattr(task, name).source) for task, name in work), "parts") as bar:
        for task, name in work:
            bar.note(f"{task.short_id} {name}")
            checks.append(check(task, name, quick, lambda best: bar.advance()))
            bar.advance()
            reporter.message(_line(checks[-1]))
    off = [check for check in checks if check.measured is not None and not check.agrees]
    missing = [check for check in checks if check.measured is None]
    print(f"{len(checks) - len(off) - len(missing)} agree, {len(off)} are off, {len(missing)} need a missing package")
    print(f"allowed: {STANDARD_ERRORS:g} standard errors of the difference, and {ROUNDING:g} of the score for rounding")
    return 1 if off else 0


def _line(check: Check) -> str:
    verdict = check.problem or ("agrees" if check.agrees else "IS OFF")
    measured = "" if check.measured is None else f"{check.measured.mean:.4f} ± {check.measured.standard_error:.4f}"
    stated = f"{check.stated.value:.4f} ± {check.stated.standard_error or 0:.4f}"
    return f"{check.task:35} {check.name:8} stated {stated:20} measured {measured:20} {verdict}"


@script(ValueError, TypeError, gym.error.Error)
def main() -> int:
    """Return the exit status: 1 for a score that is off, 2 for bad input."""
    arguments = parse_arguments()
    if arguments.all:
        alone = {key for key, value in typed(arguments).items() if key not in ("all", "quick") and value is not False}
        if alone:
            raise ValueError(f"--all takes the arguments of each row, got --{', --'.join(sorted(alone))} as well")
        return measure_all(arguments.quick)
    measure(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
