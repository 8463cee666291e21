"""Where a reference score comes from, as data. ``scripts/measure_bounds.py`` repeats what this package computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class SearchSettings:
    """Size of a cross-entropy search.

    :param generations: how often the distribution of policies is refitted
    :param population: policies in a generation
    :param elite: number of best policies to which the distribution is refitted
    :param episodes: episodes of each policy of a generation, the same for all
    :param restarts: independent searches for each family
    :param evaluation_episodes: fresh episodes for choosing among the best policies, and as many again for the score
    :param spread: standard deviation of the parameters in the first generation; inputs are standardised
    :param seed: seed of all random numbers
    :raises ValueError: a number is too small for a search, or the elite is larger than the population
    """

    generations: int = 30
    population: int = 32
    elite: int = 6
    episodes: int = 8
    restarts: int = 2
    evaluation_episodes: int = 300
    spread: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        # A standard error needs two episodes, everything else at least one.
        for name in ("generations", "population", "elite", "episodes", "restarts", "evaluation_episodes"):
            least = 2 if name == "evaluation_episodes" else 1
            if getattr(self, name) < least:
                raise ValueError(f"the search expected {name} of at least {least}, got {getattr(self, name)}")
        if self.elite > self.population:
            raise ValueError(
                f"the search expected an elite of at most the population {self.population}, got {self.elite}"
            )


@dataclass(frozen=True)
class Cited:
    """A published number; ``text`` says by whom, where and under which conditions."""

    text: str

    def __str__(self) -> str:
        return f"cited: {self.text}"


def zoo_benchmark(algorithm: str, env_id: str) -> Cited:
    """Cite the benchmark table of RL Baselines3 Zoo: one run with everything visible, so a rough ceiling."""
    return Cited(f"benchmark.md of rl-baselines3-zoo: {algorithm} on {env_id}, everything visible, one run")


@dataclass(frozen=True)
class Known:
    """A number that follows from the rules of the task; ``text`` is the argument."""

    text: str

    def __str__(self) -> str:
        return f"known: {self.text}"


@dataclass(frozen=True)
class Calculated:
    """A number that a function of this package calculates, without random episodes.

    :param function: returns the number
    :param arguments: arguments of the function
    """

    function: Callable[..., float]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"calculated by {self.function.__module__}.{self.function.__name__}({given})"


@dataclass(frozen=True)
class RandomPlay:
    """The mean return of uniformly random actions over ``episodes`` episodes."""

    episodes: int = 300
    seed: int = 0

    def __str__(self) -> str:
        return f"uniformly random actions, {self.episodes} episodes, seed {self.seed}"


@dataclass(frozen=True)
class Search:
    """The score of the best memoryless policy that a cross-entropy search found.

    :param settings: size of the search
    :param families: names of the families of policies that were tried; empty: all
    """

    settings: SearchSettings = field(default_factory=SearchSettings)
    families: tuple[str, ...] = ()

    def __str__(self) -> str:
        default = SearchSettings()
        pairs = ((f.name, getattr(self.settings, f.name)) for f in fields(default))
        changed = [f"--{name.replace('_', '-')} {value}" for name, value in pairs if value != getattr(default, name)]
        options = [*(f"--policy {name}" for name in self.families), *changed]
        return f"cross-entropy search ({' '.join(options) or 'default settings'})"


Source = Cited | Known | Calculated | RandomPlay | Search
