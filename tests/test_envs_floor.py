"""The search behind the floors: its policies by hand, its scores on an environment whose optimum is known."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rl_larnn.envs import TASKS
from rl_larnn.envs.bounds.floor import SearchSettings, find_floor, random_score
from rl_larnn.envs.bounds.memoryless import FAMILIES, Family
from rl_larnn.envs.bounds.rollouts import Rollouts, Score

SMALL = SearchSettings(generations=6, population=16, elite=4, episodes=6, restarts=1, evaluation_episodes=40)
every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


class Guess(gym.Env):
    """Ten steps; each shows +1 or -1 and pays 1 for the action of the same sign.

    ``hide`` shows 0 instead; ``toll`` replaces the pay by that much for each unit of action, to be paid.
    """

    def __init__(self, continuous: bool = False, hide: bool = False, toll: float | None = None):
        self.observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Box(-3.0, 3.0, (1,), np.float32) if continuous else spaces.Discrete(2)
        self._continuous, self._hide, self._toll = continuous, hide, toll

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._t = 0
        return self._show(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert action in self.action_space
        right = float(action[0] > 0 if self._continuous else action == 1) == float(self._sign > 0)
        self._t += 1
        reward = float(right) if self._toll is None else -self._toll * abs(float(action[0]))
        return self._show(), reward, self._t == 10, False, {}

    def _show(self) -> np.ndarray:
        self._sign = self.np_random.choice([-1.0, 1.0])
        return np.array([0.0 if self._hide else self._sign], np.float32)


@pytest.fixture(autouse=True)
def guesses() -> Iterator[None]:
    gym.register("Guess-v0", Guess)
    yield
    gym.registry.pop("Guess-v0")


def _floor(family: Family, **kwargs: Any) -> float:
    gym.registry["Guess-v0"].kwargs = kwargs
    return find_floor("Guess-v0", SMALL, [family]).score.mean


@every_family
@pytest.mark.parametrize("continuous", [False, True])
def test_finds_the_optimum_that_one_observation_allows(family: Family, continuous: bool) -> None:
    assert _floor(family, continuous=continuous) > (8 if family.stochastic else 9.5)
    assert 4 < _floor(family, continuous=continuous, hide=True) < 6


def test_same_seed_same_result() -> None:
    first, second = (find_floor("Guess-v0", replace(SMALL, generations=2)) for _ in range(2))
    assert first.score == second.score and first.family == second.family
    np.testing.assert_array_equal(first.parameters, second.parameters)


@pytest.mark.parametrize("env_id, episodes", [("CartPole-POMDP", 300), ("Pendulum-POMDP", 50)])
def test_random_score_is_that_of_the_table(env_id: str, episodes: int) -> None:
    """Random play, measured again with another seed, agrees with the table within four standard errors."""
    task = TASKS[f"{env_id}-v0"]
    score = random_score(env_id, episodes=episodes, seed=1)
    assert abs(score.mean - task.random.value) < 4 * np.hypot(score.standard_error, task.random.standard_error)


def test_doing_nothing_is_always_a_candidate() -> None:
    gym.registry["Guess-v0"].kwargs = {"continuous": True, "toll": 1.0}
    found = find_floor("Guess-v0", replace(SMALL, generations=1), [FAMILIES["tanh-deterministic"]])
    assert found.score.mean == 0 and not found.parameters.any()


def test_uniform_actions_are_always_a_candidate() -> None:
    """Against a policy that the search had no time to improve, playing at random wins."""
    gym.registry["Guess-v0"].kwargs = {"continuous": True, "toll": -1.0}
    none = SearchSettings(generations=1, population=1, elite=1, episodes=1, restarts=1, spread=1e-9)
    found = find_floor("Guess-v0", none, [FAMILIES["linear-deterministic"]])
    assert found.family == "uniform random actions" and found.score.mean == pytest.approx(15, abs=1)


def test_score_is_mean_and_standard_error() -> None:
    score = Score.of(np.array([1.0, 2.0, 3.0, 6.0]))
    assert score.mean == 3.0 and score.standard_error == pytest.approx(np.sqrt(14 / 3) / 2)


def test_rollouts_give_every_policy_the_same_episodes() -> None:
    rollouts = Rollouts("CartPole-POMDP")
    returns = rollouts.returns(lambda seen: np.ones(seen.shape[:2], int), policies=3, episodes=5, seed=2)
    assert returns.shape == (3, 5)
    np.testing.assert_array_equal(returns, returns[:1].repeat(3, 0))
    env, expected = gym.make("CartPole-POMDP-v0"), []
    for seed in range(2, 7):
        env.reset(seed=seed)
        expected.append(sum(1 for _ in iter(lambda: env.step(1)[2], True)) + 1)
    np.testing.assert_array_equal(returns[0], expected)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"generations": 0}, "generations of at least 1, got 0"),
        ({"evaluation_episodes": 1}, "evaluation_episodes of at least 2, got 1"),
        ({"population": 3, "elite": 4}, "elite of at most the population 3, got 4"),
    ],
)
def test_sizes_that_make_no_search(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSettings(**wrong)


def test_linear_policy_by_hand() -> None:
    family, generator = FAMILIES["linear-deterministic"], np.random.default_rng(0)
    inputs = np.array([[[1.0, 2.0], [-1.0, 0.0]]])
    box = spaces.Box(0.0, 10.0, (1,), np.float32)
    # 0.1 x + 0.2 y - 0.3 is 0.2 and -0.4 on a scale from -1 to 1, that is 6 and 3 from 0 to 10
    actions = family.actions(np.array([[0.1, 0.2, -0.3]]), inputs, box, generator)
    np.testing.assert_allclose(actions, [[[6.0], [3.0]]], rtol=1e-6)
    logits = np.array([[1.0, -1.0, 0.0, 0.0, 0.0, 0.5]])  # x + 0 against 0.5 - x, in action numbers 5 and 6
    np.testing.assert_array_equal(family.actions(logits, inputs, spaces.Discrete(2, start=5), generator), [[5, 6]])


def test_without_bias_nothing_seen_is_left_to_chance() -> None:
    family, generator = FAMILIES["linear-unbiased"], np.random.default_rng(0)
    policy = 50 * generator.standard_normal((1, family.size(3, spaces.Discrete(2))))
    blank = family.actions(policy, np.zeros((1, 4000, 3)), spaces.Discrete(2), generator)
    assert policy.shape == (1, 6) and abs(blank.mean() - 0.5) < 0.04


def test_stochastic_discrete_policy_is_a_softmax() -> None:
    family, generator = FAMILIES["linear-stochastic"], np.random.default_rng(0)
    actions = family.actions(
        np.array([[0.0, 0.0, np.log(3), 0.0]]), np.zeros((1, 20_000, 1)), spaces.Discrete(2), generator
    )
    assert abs((actions == 0).mean() - 0.75) < 0.02


@every_family
@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(-2.0, 2.0, (2, 2), np.float32)], ids=str)
def test_policies_of_a_batch_do_not_mix(family: Family, space: gym.Space) -> None:
    generator = np.random.default_rng(0)
    policies = generator.standard_normal((4, family.size(3, space)))
    policies[2] += 1.0
    inputs = generator.standard_normal((4, 5, 3))
    together = family.actions(policies, inputs, space, np.random.default_rng(1))
    assert all(action in space for action in together.astype(space.dtype).reshape(-1, *(space.shape or ())))
    if not family.stochastic:
        alone = [family.actions(policies[i : i + 1], inputs[i : i + 1], space, generator)[0] for i in range(4)]
        np.testing.assert_allclose(together, alone)


def test_parameters_are_all_used() -> None:
    """Each number of a deterministic policy changes some action."""
    space, generator = spaces.Box(-50.0, 50.0, (2,), np.float32), np.random.default_rng(0)
    for family in (FAMILIES["linear-deterministic"], FAMILIES["tanh-deterministic"]):
        base = generator.uniform(-0.1, 0.1, family.size(3, space))
        inputs = np.tile(generator.standard_normal((1, 4, 3)), (len(base) + 1, 1, 1))
        actions = family.actions(np.vstack([base, base + 0.1 * np.eye(len(base))]), inputs, space, generator)
        assert (np.abs(actions[1:] - actions[0]).max(axis=(1, 2)) > 1e-6).all()


@pytest.mark.parametrize(
    "observations, actions, message",
    [
        (spaces.Discrete(2), spaces.Discrete(2), "expected a Box vector observation, Guess-v0 has Discrete"),
        (spaces.Box(0, 1, (1,)), spaces.MultiBinary(2), "expected Discrete or Box actions, got MultiBinary"),
    ],
)
def test_spaces_it_cannot_search(observations: gym.Space, actions: gym.Space, message: str, monkeypatch) -> None:
    made = Guess.__init__

    def other(self: Guess) -> None:
        made(self)
        self.observation_space, self.action_space = observations, actions

    monkeypatch.setattr(Guess, "__init__", other)
    monkeypatch.setattr(Guess, "_show", lambda self: observations.sample())
    monkeypatch.setattr(Guess, "step", lambda self, action: (observations.sample(), 0.0, True, False, {}))
    with pytest.raises(TypeError, match=message):
        find_floor("Guess-v0", SMALL)
