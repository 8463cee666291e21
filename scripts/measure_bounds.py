"""Measures the random score and the floor (best memoryless policy found) of an environment.

python scripts/measure_bounds.py --env CartPole-POMDP
"""

import argparse
import dataclasses
import sys

import gymnasium as gym
from tqdm import tqdm

from rl_larnn.envs import find_task, resolve_id
from rl_larnn.envs.floor import SearchSettings, find_floor, random_score
from rl_larnn.envs.memoryless import FAMILIES

QUICK = SearchSettings(generations=4, population=8, elite=3, episodes=2, restarts=1, evaluation_episodes=20)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--env", required=True, help="environment id, for example CartPole-POMDP")
    parser.add_argument("--quick", action="store_true", help="a search of seconds, to see that everything works")
    parser.add_argument(
        "--policy", choices=FAMILIES, action="append", help="only this family (repeatable); default all"
    )
    for field in dataclasses.fields(SearchSettings):
        kind = float if field.name == "spread" else int
        name = field.name.replace("_", "-")
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"default {field.default}")
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> None:
    """Runs both measurements and prints them with everything needed to repeat them."""
    env_id = resolve_id(arguments.env)
    given = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(SearchSettings)}
    defaults = QUICK if arguments.quick else SearchSettings()
    settings = dataclasses.replace(defaults, **{name: value for name, value in given.items() if value is not None})
    families = [FAMILIES[name] for name in arguments.policy or FAMILIES]
    random = random_score(env_id, settings.evaluation_episodes, settings.seed)
    with tqdm(total=len(families) * settings.restarts * settings.generations, unit="generation") as bar:

        def show(best: float) -> None:
            bar.set_postfix_str(f"best {best:.1f}", refresh=False)
            bar.update()

        found = find_floor(env_id, settings, families, show)
    print(f"environment  {env_id} (gymnasium {gym.__version__})")
    print(f"settings     {settings}, families {', '.join(family.name for family in families)}")
    print(f"random       {random}")
    print(f"floor        {found.score} by {found.family}")
    print(f"parameters   {[round(float(number), 3) for number in found.parameters]}")
    if task := find_task(env_id):
        print(f"in the table random {task.random.value}, floor {task.floor.value}, ceiling {task.ceiling.value}")


def main() -> int:
    """Returns the exit status: 2 for bad input."""
    try:
        measure(parse_arguments())
    except (ValueError, TypeError, gym.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
