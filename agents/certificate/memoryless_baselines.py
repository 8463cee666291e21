"""The cross-entropy search of :mod:`rl_larnn.envs.bounds.floor`, on the very observations of an agent.

Letters: P policies, D parameters of one.

The contest behind question A: which contenders there are, in which order they are found, and when to stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.evaluator import Bench, Plan, play
from rl_larnn.agents.certificate.interventions import StateRows, reset_every
from rl_larnn.agents.certificate.memory_need import Contender, References, reaches
from rl_larnn.agents.certificate.policies import Amanuensis, FramePolicy, Frames, Reader, flat_width
from rl_larnn.agents.certificate.training import imitate, present_only, train_twin, with_memory
from rl_larnn.envs.bounds.memoryless import FAMILIES, Family

#: Policies of a generation, how many of them shape the next, episodes on which each is judged.
POPULATION, ELITE, EPISODES = 32, 6, 2

#: Wider observations have too many parameters for a search without gradients.
WIDEST = 40


class Population:
    """Policies (P, D) of one family; row r of every batch is acted on by policy r, or by the only one there is."""

    def __init__(self, family: Family, parameters: np.ndarray, space: spaces.Space, seed: int) -> None:
        self.family, self.parameters, self.space = family, parameters, space
        self.generator = np.random.default_rng(seed)

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """See :class:`rl_larnn.agents.certificate.contenders.Reader`; ``deterministic`` is the family's."""
        parameters = np.broadcast_to(self.parameters, (len(inputs), self.parameters.shape[-1]))
        return self.family.actions(parameters, inputs[:, None], self.space, self.generator)[:, 0]


def searchable(env: VecEnv) -> bool:
    """Whether the search knows the actions, and the observation is small enough."""
    known = isinstance(env.action_space, spaces.Discrete | spaces.Box)
    return known and flat_width(env.observation_space) <= WIDEST


def search(env: VecEnv, name: str, steps: int, seed: int) -> list[FramePolicy]:
    """The finalists of one search: the mean of the last generation and the best of all that were tried.

    :param name: of a family of :data:`rl_larnn.envs.bounds.memoryless.FAMILIES`
    :param steps: environment steps after which no further generation begins
    """
    family, frames = FAMILIES[name], Frames(env.observation_space, 1)
    generator = np.random.default_rng(seed)
    size = family.size(flat_width(env.observation_space), env.action_space)
    mean, spread = np.zeros(size), np.full(size, 2.0)
    best, best_score, taken = mean, -np.inf, 0

    def policy(parameters: np.ndarray) -> FramePolicy:
        return FramePolicy(Population(family, parameters, env.action_space, seed), frames, sampled=False)

    while taken < steps:
        policies = mean + spread * generator.standard_normal((POPULATION, size))
        scores, used = _judged(env, policies, policy, int(generator.integers(2**31 - 10**6)))
        taken += used
        elite = np.argsort(-scores)[:ELITE]
        if scores[elite[0]] > best_score:
            best, best_score = policies[elite[0]], scores[elite[0]]
        # A little spread is kept, or the search freezes on a lucky generation.
        mean, spread = policies[elite].mean(0), policies[elite].std(0) + 0.02
    return [policy(mean[None]), policy(best[None])]


def _judged(env: VecEnv, policies: np.ndarray, policy: Any, seed: int) -> tuple[np.ndarray, int]:
    """The mean return (P,) of each policy, and the environment steps that it took to know."""
    rows = np.repeat(policies, EPISODES, axis=0)
    short = -len(rows) % env.num_envs
    rows = (
        np.concatenate([rows, rows[:short]]) if short <= len(rows) else np.resize(rows, (env.num_envs, rows.shape[1]))
    )
    returns, taken = [], 0
    for first in range(0, len(rows), env.num_envs):
        played = play(policy(rows[first : first + env.num_envs]), env, env.num_envs, seed + first)
        returns.append(played.returns)
        taken += played.steps * env.num_envs
    return np.concatenate(returns)[: len(policies) * EPISODES].reshape(-1, EPISODES).mean(1), taken


#: Observations that the stacked twin sees.
STACK = 4

#: Families of the search, one simple and one that can be indifferent.
SEARCHED_FAMILIES = ("linear-deterministic", "tanh-stochastic")

_TWIN, _STACKED, _SEARCH, _STUDENT = range(4)


class Contest:
    """Finds and judges contenders.

    :param rows: how to reach the rows of the agent's state; None for an agent without memory
    :param chance: returns (E,) of random actions
    """

    def __init__(
        self, model: PolicyPredictor, bench: Bench, plan: Plan, rows: StateRows | None, known: References
    ) -> None:
        self.model, self.bench, self.plan, self.rows, self.known = model, bench, plan, rows, known
        self.found: list[Contender] = []
        self.stacked: PolicyPredictor | None = None
        self._one = Frames(bench.env.observation_space, 1)

    def run(self, intact: np.ndarray, chance: np.ndarray, remembers: bool) -> list[Contender]:
        """Every contender, the agent and random actions among them.

        It ends early, with whatever was found, once something without memory is as good as any memory could be.

        :param intact: returns (E,) of the agent
        :param remembers: whether the agent carries a state
        """
        self.found = [Contender("random actions", False, float(chance.mean()), chance)]
        self.found.append(Contender("the agent", remembers, self.bench.try_out(self.model), intact))
        for step in self._steps(remembers):
            before = len(self.found)
            step()
            fresh = self.found[before:] if before > 2 else self.found
            if any(not one.remembers and reaches(one.returns, chance, self.known) for one in fresh):
                break
        return self.found

    def _steps(self, remembers: bool) -> Iterator[Callable[[], None]]:
        if remembers:
            yield lambda: self._judge("the agent with its memory wiped", [reset_every(self.model, 1)])
            yield lambda: self._student(self.model, "student of the agent")
        if searchable(self.bench.env):
            yield self._searched
        yield self._twin
        yield self._stacked
        yield self._stacked_student
        if remembers and self.rows is not None:
            yield self._control

    def _judge(
        self, name: str, variants: list[PolicyPredictor], remembers: bool = False, control: bool = False
    ) -> None:
        """Add the variant that does best on trial."""
        tried = [self.bench.try_out(variant) for variant in variants]
        best = int(np.argmax(tried))
        self.found.append(Contender(name, remembers, tried[best], self.bench.judge(variants[best]), control))

    def _read(self, reader: Reader, frames: Frames) -> list[PolicyPredictor]:
        return [FramePolicy(reader, frames, sampled) for sampled in self._ways]

    @property
    def _ways(self) -> tuple[bool, ...]:
        # Where actions are numbers, sampling only adds noise; a student has not even learned how much.
        return (False,) if isinstance(self.bench.env.action_space, spaces.Box) else (False, True)

    def _searched(self) -> None:
        self.bench.report("searching for a memoryless policy")
        finalists: list[PolicyPredictor] = []
        for number, family in enumerate(SEARCHED_FAMILIES):
            seed = self.bench.training_seed(_SEARCH + 10 * number)
            finalists += search(self.bench.env, family, self.plan.search_steps // 4, seed)
        self._judge("memoryless search", finalists)

    def _twin(self) -> None:
        self.bench.report("training a memoryless twin")
        self._judge("memoryless PPO", self._trained(self._one, _TWIN))

    def _stacked(self) -> None:
        self.bench.report(f"training a twin on {STACK} stacked observations")
        variants = self._trained(Frames(self.bench.env.observation_space, STACK), _STACKED)
        self.stacked = variants[0]
        self._judge(f"PPO on {STACK} frames", variants, remembers=True)

    def _trained(self, frames: Frames, purpose: int) -> list[PolicyPredictor]:
        seed = self.bench.training_seed(purpose)
        return self._read(train_twin(self.bench.env, frames, self.plan.search_steps, seed, self.model), frames)

    def _student(self, teacher: PolicyPredictor, name: str) -> None:
        self.bench.report(f"training a memoryless {name}")
        student = self._taught(teacher, present_only(self._one))
        self._judge(f"memoryless {name}", self._read(student, self._one))

    def _stacked_student(self) -> None:
        """What an agent that fails, or has no memory, leaves open: can the stacked twin be imitated without memory?"""
        stacked = self.found[-1]
        if stacked.tried > max(one.tried for one in self.found[:-1]):
            assert self.stacked is not None
            self._student(self.stacked, "student of the stacked twin")
            self._shown_memory(self.stacked, StateRows((0,)), "student of the stacked twin")

    def _control(self) -> None:
        without = max(one.tried for one in self.found if not one.remembers)
        if self.found[1].tried > without:
            assert self.rows is not None
            self._shown_memory(self.model, self.rows, "student of the agent")

    def _shown_memory(self, teacher: PolicyPredictor, rows: StateRows, name: str) -> None:
        self.bench.report(f"training a {name} that is shown the memory")
        student = self._taught(teacher, with_memory(self._one, rows.flat))
        variants: list[PolicyPredictor] = [
            Amanuensis(student, teacher, self._one, rows.flat, sampled) for sampled in self._ways
        ]
        self._judge(f"{name}, shown its memory", variants, remembers=True, control=True)

    def _taught(self, teacher: PolicyPredictor, view: Any) -> Any:
        return imitate(teacher, self.bench.env, view, self.plan.student_steps, self.bench.training_seed(_STUDENT))
