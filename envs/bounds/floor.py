"""A cross-entropy search for the best memoryless policy. Its score is the *floor* of a task.

An agent that does not beat the floor has no use for its memory. A search finds only a lower bound of the true optimum,
so it tries several families of policies, and always the policies that do nothing and that act at random.

Source: Rubinstein and Kroese, The Cross-Entropy Method, 2004 (Gaussian form with independent parameters).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from rl_larnn.envs.bounds.memoryless import FAMILIES, Family
from rl_larnn.envs.bounds.rollouts import Act, Rollouts, Score
from rl_larnn.envs.bounds.sources import SearchSettings


@dataclass(frozen=True)
class FloorResult:
    """The best memoryless policy of a search.

    :param family: its family, or "uniform random actions" where nothing beat these
    :param parameters: (D,); D is 0 for uniformly random actions
    :param score: on fresh episodes
    """

    family: str
    parameters: np.ndarray
    score: Score


def random_score(env_id: str, episodes: int = 300, seed: int = 0) -> Score:
    """Measure the score of uniformly random actions."""
    rollouts = Rollouts(env_id)
    return Score.of(rollouts.returns(_uniform(rollouts, seed), 1, episodes, seed)[0])


def find_floor(
    env_id: str,
    settings: SearchSettings | None = None,
    families: Iterable[Family] = FAMILIES.values(),
    on_generation: Callable[[float], None] = lambda best: None,
) -> FloorResult:
    """Search the best memoryless policy of all families and measure its score on fresh episodes.

    :param env_id: any form that ``resolve_id`` takes; Box vector observation, Discrete or Box actions
    :param settings: size of the search
    :param families: families of policies to try
    :param on_generation: called with the best mean return of each generation, for a progress bar
    :raises UnknownEnvironmentError: no such environment
    :raises TypeError: its observation or action space is of another kind
    """
    settings = settings or SearchSettings()
    search = _Search(Rollouts(env_id), settings, on_generation)
    candidates = [candidate for family in families for candidate in search.candidates(family)]
    # The episodes of the choice are not those of the score: the best of many is partly lucky on its own episodes.
    means = [search.returns(*candidate, settings.evaluation_episodes).mean() for candidate in candidates]
    family, policies = candidates[int(np.argmax(means))]
    found = Score.of(search.returns(family, policies, settings.evaluation_episodes)[0])
    uniform = random_score(env_id, settings.evaluation_episodes, settings.seed)
    if uniform.mean > found.mean:
        return FloorResult("uniform random actions", np.zeros(0), uniform)
    return FloorResult(family.name, policies[0], found)


def cross_entropy_search(
    mean_returns: Callable[[np.ndarray], np.ndarray],
    size: int,
    settings: SearchSettings,
    generator: np.random.Generator,
) -> Iterator[list[np.ndarray]]:
    """Yield two policies (D,) before the first generation and after each: the mean, and the best that was tried.

    :param mean_returns: from policies (P, D) to their mean returns (P,)
    :param size: D
    :param settings: spread, population and elite count
    """
    mean, spread = np.zeros(size), np.full(size, settings.spread)
    best, best_score = mean, -np.inf
    while True:
        yield [mean, best]
        policies = mean + spread * generator.standard_normal((settings.population, size))
        scores = mean_returns(policies)
        elite = np.argsort(-scores)[: settings.elite]
        if scores[elite[0]] > best_score:
            best, best_score = policies[elite[0]], scores[elite[0]]
        # Some spread always remains, or a lucky generation would end the search.
        mean, spread = policies[elite].mean(0), policies[elite].std(0) + 0.02


class _Search:
    def __init__(self, rollouts: Rollouts, settings: SearchSettings, on_generation: Callable[[float], None]):
        self._rollouts, self._settings, self._on_generation = rollouts, settings, on_generation
        self._generator = np.random.default_rng(settings.seed)
        self._centre, self._scale = _observation_scale(rollouts, settings.seed)

    def candidates(self, family: Family) -> list[tuple[Family, np.ndarray]]:
        """Return policies (1, D): all zeros (doing nothing), then the mean and the best of each restart."""
        size = family.size(self._rollouts.observation_size, self._rollouts.action_space)
        policies = [np.zeros(size)]
        for _ in range(self._settings.restarts):
            policies += self._one_search(family, size)
        return [(family, policy[None]) for policy in policies]

    def returns(self, family: Family, policies: np.ndarray, episodes: int) -> np.ndarray:
        """Measure returns (P, E) of policies (P, D) on fresh episodes."""
        space = self._rollouts.action_space
        centre = self._centre if family.bias else 0.0  # centred inputs have the effect of a bias

        def act(observations: np.ndarray) -> np.ndarray:
            return family.actions(policies, (observations - centre) / self._scale, space, self._generator)

        return self._rollouts.returns(act, len(policies), episodes, int(self._generator.integers(2**31)))

    def _one_search(self, family: Family, size: int) -> list[np.ndarray]:
        def mean_returns(policies: np.ndarray) -> np.ndarray:
            means = self.returns(family, policies, self._settings.episodes).mean(1)
            self._on_generation(float(means.max()))
            return means

        generations = cross_entropy_search(mean_returns, size, self._settings, self._generator)
        return next(islice(generations, self._settings.generations, None))


def _uniform(rollouts: Rollouts, seed: int) -> Act:
    rollouts.action_space.seed(seed)

    def act(observations: np.ndarray) -> np.ndarray:
        policies, episodes, _ = observations.shape
        return np.array([[rollouts.action_space.sample() for _ in range(episodes)] for _ in range(policies)])

    return act


def _observation_scale(rollouts: Rollouts, seed: int, episodes: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Measure mean and standard deviation (I,) of observations under random actions; 1 where nothing varies."""
    seen: list[np.ndarray] = []
    uniform = _uniform(rollouts, seed)

    def act(observations: np.ndarray) -> np.ndarray:
        seen.append(observations[0].copy())
        return uniform(observations)

    rollouts.returns(act, 1, episodes, seed)
    stacked = np.concatenate(seen)
    spread = stacked.std(0)
    return stacked.mean(0), np.where(spread > 1e-6, spread, 1.0)
