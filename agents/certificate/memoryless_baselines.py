"""The memoryless baselines that an agent is compared with, in the order in which they are trained, and when to stop.

Letters: E episodes, P policies, D parameters of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.certificate import Interval, Plan, References
from rl_larnn.agents.certificate.evaluator import Evaluator, play, student_steps
from rl_larnn.agents.certificate.interventions import StateRows, reset_every
from rl_larnn.agents.certificate.memory_need import Method, reaches
from rl_larnn.agents.certificate.policies import (
    FlatPolicy,
    FramePolicy,
    Frames,
    MemoryConditionedStudent,
    StudentInputs,
    flat_width,
    flatten,
)
from rl_larnn.agents.certificate.training import imitate, train_ppo
from rl_larnn.envs.bounds.memoryless import FAMILIES, Family

#: Observations that the stacked PPO baseline sees.
STACK = 4

#: Families of the search, one simple and one that can be indifferent.
SEARCHED_FAMILIES = ("linear-deterministic", "tanh-stochastic")

#: Policies of a generation of the search, how many of them shape the next, and episodes of each.
POPULATION, ELITE, SEARCH_EPISODES = 32, 6, 2

#: Wider observations have too many parameters for a search without gradients.
WIDEST = 40

#: What seeds of trainings are derived for.
_PPO, _STACKED_PPO, _SEARCH, _STUDENT = range(4)


class Comparison:
    """Trains and evaluates the methods of question A.

    :param rows: how to reach the rows of the agent's state; None for an agent without memory
    :param known: bounds known beforehand
    """

    def __init__(
        self, model: PolicyPredictor, evaluator: Evaluator, plan: Plan, rows: StateRows | None, known: References
    ) -> None:
        self.model, self.evaluator, self.plan, self.rows, self.known = model, evaluator, plan, rows, known
        self.env, self.methods = evaluator.env, list[Method]()
        # Where actions are numbers, sampling only adds noise; a student has not even learned how much.
        self._sampled = (False,) if isinstance(self.env.action_space, spaces.Box) else (False, True)

    def run(self, intact: np.ndarray, random: np.ndarray, has_memory: bool) -> list[Method]:
        """Every method, the agent and random actions among them.

        It ends early, with the methods so far, once one without memory is as good as any memory could be.

        :param intact: returns (E,) of the agent
        :param random: returns (E,) of random actions
        :param has_memory: whether the agent carries a state
        """
        agent = Method("the agent", has_memory, self.evaluator.selection_score(self.model), intact)
        self.methods = [Method("random actions", False, float(random.mean()), random), agent]
        for step in self._steps(agent):
            step()
            scores = (Interval.of(method.returns) for method in self.methods if not method.has_memory)
            if any(reaches(score, random, self.known) for score in scores):
                break
        return self.methods

    def _steps(self, agent: Method) -> Iterator[Callable[[], object]]:
        if agent.has_memory:
            yield lambda: self._add("the agent, reset every step", [reset_every(self.model, 1)])
            yield lambda: self._add_student(self.model, agent.name)
        if _searchable(self.env):
            yield self._add_search
        yield lambda: self._add("memoryless PPO", self._train_ppo(1, _PPO))
        yield self._add_stacked_ppo
        if agent.has_memory and self.rows is not None:
            yield lambda: self._add_control(agent)

    def _add(
        self, name: str, variants: list[PolicyPredictor], has_memory: bool = False, control: bool = False
    ) -> Method:
        """Add the variant with the best selection score."""
        scores = [self.evaluator.selection_score(variant) for variant in variants]
        best = int(np.argmax(scores))
        method = Method(name, has_memory, scores[best], self.evaluator.returns(variants[best]), control)
        self.methods.append(method)
        return method

    def _add_search(self) -> None:
        self.evaluator.announce("searching for a memoryless policy")
        finalists: list[PolicyPredictor] = []
        for number, family in enumerate(SEARCHED_FAMILIES):
            seed = self.evaluator.training_seed(_SEARCH + 10 * number)
            finalists += search(self.env, family, self.plan.search_steps // 4, seed)
        self._add("memoryless search", finalists)

    def _add_stacked_ppo(self) -> None:
        variants = self._train_ppo(STACK, _STACKED_PPO)
        others = max(method.selection_score for method in self.methods)
        stacked = self._add(f"PPO on {STACK} frames", variants, has_memory=True)
        # Where the agent fails, or has no memory: can this be imitated without memory?
        if stacked.selection_score > others:
            self._add_student(variants[0], stacked.name)
            self._add_conditioned_student(variants[0], StateRows((0,)), stacked.name)

    def _add_control(self, agent: Method) -> None:
        if agent.selection_score > max(method.selection_score for method in self.methods if not method.has_memory):
            assert self.rows is not None
            self._add_conditioned_student(self.model, self.rows, agent.name)

    def _train_ppo(self, count: int, purpose: int) -> list[PolicyPredictor]:
        self.evaluator.announce(f"training PPO on {count} observation{'s' if count > 1 else ''}")
        frames, seed = Frames(self.env.observation_space, count), self.evaluator.training_seed(purpose)
        return self._variants(train_ppo(self.env, frames, self.plan.search_steps, seed, self.model), frames)

    def _variants(self, policy: FlatPolicy, frames: Frames) -> list[PolicyPredictor]:
        return [FramePolicy(policy, frames, sampled) for sampled in self._sampled]

    def _add_student(self, teacher: PolicyPredictor, name: str) -> None:
        self.evaluator.announce(f"training a memoryless student of {name}")
        student = self._imitate(teacher, lambda observation, _: flatten(self.env.observation_space, observation))
        self._add(f"memoryless student of {name}", self._variants(student, Frames(self.env.observation_space, 1)))

    def _add_conditioned_student(self, teacher: PolicyPredictor, rows: StateRows, name: str) -> None:
        self.evaluator.announce(f"training a student of {name} that is shown the memory")

        def inputs(observation: object, state: object) -> np.ndarray:
            return np.concatenate([flatten(self.env.observation_space, observation), rows.flat(state)], axis=1)

        student = self._imitate(teacher, inputs)
        variants: list[PolicyPredictor] = [
            MemoryConditionedStudent(student, teacher, inputs, sampled) for sampled in self._sampled
        ]
        self._add(f"student of {name}, shown its memory", variants, has_memory=True, control=True)

    def _imitate(self, teacher: PolicyPredictor, inputs: StudentInputs) -> FlatPolicy:
        steps, seed = student_steps(self.plan.search_steps), self.evaluator.training_seed(_STUDENT)
        return imitate(teacher, self.env, inputs, steps, seed)


def _searchable(env: VecEnv) -> bool:
    """Whether the search knows the actions, and the observation is small enough."""
    known = isinstance(env.action_space, spaces.Discrete | spaces.Box)
    return known and flat_width(env.observation_space) <= WIDEST


class Population:
    """Policies (P, D) of one family; row r of every batch is acted on by policy r, or by the only one there is."""

    def __init__(self, family: Family, parameters: np.ndarray, space: spaces.Space, seed: int) -> None:
        self.family, self.parameters, self.space = family, parameters, space
        self.generator = np.random.default_rng(seed)

    def act(self, inputs: np.ndarray, deterministic: bool) -> np.ndarray:
        """See :class:`rl_larnn.agents.certificate.policies.FlatPolicy`; ``deterministic`` is the family's."""
        parameters = np.broadcast_to(self.parameters, (len(inputs), self.parameters.shape[-1]))
        return self.family.actions(parameters, inputs[:, None], self.space, self.generator)[:, 0]


def search(env: VecEnv, name: str, steps: int, seed: int) -> list[FramePolicy]:
    """The cross-entropy search of :mod:`rl_larnn.envs.bounds.floor`, on the very observations of an agent.

    :param name: of a family of :data:`rl_larnn.envs.bounds.memoryless.FAMILIES`
    :param steps: environment steps after which no further generation begins
    :return: the mean of the last generation, and the best of all policies that were tried
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
        scores, used = _mean_returns(env, policies, policy, int(generator.integers(2**31 - 10**6)))
        taken += used
        elite = np.argsort(-scores)[:ELITE]
        if scores[elite[0]] > best_score:
            best, best_score = policies[elite[0]], scores[elite[0]]
        # A little spread is kept, or the search freezes on a lucky generation.
        mean, spread = policies[elite].mean(0), policies[elite].std(0) + 0.02
    return [policy(mean[None]), policy(best[None])]


def _mean_returns(
    env: VecEnv, policies: np.ndarray, policy: Callable[[np.ndarray], FramePolicy], seed: int
) -> tuple[np.ndarray, int]:
    """The mean return (P,) of each policy, and the environment steps that it took."""
    count = len(policies) * SEARCH_EPISODES
    # Rows repeat from the first until all environments are filled.
    rows = np.resize(np.repeat(policies, SEARCH_EPISODES, axis=0), (count + -count % env.num_envs, policies.shape[1]))
    returns, taken = [], 0
    for first in range(0, len(rows), env.num_envs):
        played = play(policy(rows[first : first + env.num_envs]), env, env.num_envs, seed + first)
        returns.append(played.returns)
        taken += played.steps * env.num_envs
    return np.concatenate(returns)[:count].reshape(-1, SEARCH_EPISODES).mean(1), taken
