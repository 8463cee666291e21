"""The memoryless baselines that an agent is compared with, in the order in which they are trained, and when to stop.

Letters: E episodes, B rows, P policies, D parameters of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PolicyPredictor
from stable_baselines3.common.vec_env import VecEnv

from rl_larnn.agents.certificate.certificate import Interval, References
from rl_larnn.agents.certificate.evaluator import Evaluator, play, student_steps
from rl_larnn.agents.certificate.interventions import StateRows, reset_every
from rl_larnn.agents.certificate.memory_need import Method, reaches
from rl_larnn.agents.certificate.policies import FlatPolicy, Frames, Predictor, flatten, vector_policy
from rl_larnn.agents.certificate.training import imitate, train_ppo
from rl_larnn.envs.bounds.floor import cross_entropy_search
from rl_larnn.envs.bounds.memoryless import FAMILIES
from rl_larnn.envs.bounds.sources import SearchSettings

#: Observations that the stacked PPO baseline sees.
STACK = 4

#: Families of the search, one simple and one that can be indifferent.
SEARCHED_FAMILIES = ("linear-deterministic", "tanh-stochastic")

#: Of the search, as far as it is not given by the steps that it may take.
SEARCH = SearchSettings(population=32, elite=6, episodes=2, spread=2.0)

#: Wider observations have too many parameters for a search without gradients.
WIDEST = 40

#: What seeds of trainings are derived for.
_PPO, _STACKED_PPO, _SEARCH, _STUDENT = range(4)


class Comparison:
    """Trains and evaluates the methods of question A.

    :param search_steps: environment steps of each PPO baseline
    :param rows: how to reach the rows of the agent's state; None for an agent without memory
    :param known: bounds known beforehand
    """

    def __init__(
        self, model: PolicyPredictor, evaluator: Evaluator, search_steps: int, rows: StateRows | None, known: References
    ) -> None:
        self.model, self.evaluator, self.rows, self.known = model, evaluator, rows, known
        self.env, self.search_steps, self.methods = evaluator.env, search_steps, list[Method]()

    def run(self, intact: np.ndarray, random: np.ndarray, has_memory: bool) -> list[Method]:
        """Every method, the agent and random actions among them.

        It ends early, with the methods so far, once one without memory is as good as any memory could be.

        :param intact: returns (E,) of the agent
        :param random: returns (E,) of random actions
        :param has_memory: whether the agent carries a state
        """
        agent = Method("the agent", has_memory, self.evaluator.selection_score(self.model), intact)
        self.methods = [Method("random actions", False, float(random.mean()), random), agent]
        for _ in self._steps(agent):
            scores = (Interval.of(method.returns) for method in self.methods if not method.has_memory)
            if any(reaches(score, random, self.known) for score in scores):
                break
        return self.methods

    def _steps(self, agent: Method) -> Iterator[None]:
        """Add methods; after each step they may be enough."""
        if agent.has_memory:
            self._add("the agent, reset every step", [reset_every(self.model, 1)])
            yield
            self._add_student(self.model, agent.name)
            yield
        searchable = isinstance(self.env.action_space, spaces.Discrete | spaces.Box)
        if searchable and spaces.flatdim(self.env.observation_space) <= WIDEST:
            self._add_search()
            yield
        self._add("memoryless PPO", self._train_ppo(1, _PPO))
        yield
        variants = self._train_ppo(STACK, _STACKED_PPO)
        others = max(method.selection_score for method in self.methods)
        stacked = self._add(f"PPO on {STACK} frames", variants, has_memory=True)
        # Where the agent fails, or has no memory: can this be imitated without memory?
        if stacked.selection_score > others:
            self._add_student(variants[0], stacked.name)
            self._add_student(variants[0], stacked.name, StateRows((0,)))
        yield
        without = max(method.selection_score for method in self.methods if not method.has_memory)
        if self.rows is not None and agent.selection_score > without:
            self._add_student(self.model, agent.name, self.rows)

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
            finalists += search(self.env, family, self.search_steps // 4, seed)
        self._add("memoryless search", finalists)

    def _train_ppo(self, count: int, purpose: int) -> list[PolicyPredictor]:
        self.evaluator.announce(f"training PPO on {count} observation{'s' if count > 1 else ''}")
        frames, seed = Frames(self.env.observation_space, count), self.evaluator.training_seed(purpose)
        return self._variants(train_ppo(self.env, frames, self.search_steps, seed, self.model), frames.inputs)

    def _variants(self, policy: FlatPolicy, inputs: Callable[..., Any]) -> list[PolicyPredictor]:
        # Where actions are numbers, sampling only adds noise; a student has not even learned how much.
        sampled = (False,) if isinstance(self.env.action_space, spaces.Box) else (False, True)
        return [vector_policy(policy, inputs, each) for each in sampled]

    def _add_student(self, teacher: PolicyPredictor, name: str, rows: StateRows | None = None) -> None:
        """Imitate the teacher.

        :param rows: how to reach the rows of the teacher's state, for a student that is shown it; else memoryless
        """
        student = f"memoryless student of {name}" if rows is None else f"student of {name}, shown its memory"
        self.evaluator.announce(f"training a {student}")

        def shown(observation: Any, state: Any) -> np.ndarray:
            flat = flatten(self.env.observation_space, observation)
            return flat if rows is None else np.concatenate([flat, rows.flat(state)], axis=1)

        def remembering(observation: Any, state: Any, starts: np.ndarray) -> tuple[np.ndarray, Any]:
            after = teacher.predict(observation, state, starts, True)[1]
            return shown(observation, after), after

        steps, seed = student_steps(self.search_steps), self.evaluator.training_seed(_STUDENT)
        policy = imitate(teacher, self.env, shown, steps, seed)
        inputs = Frames(self.env.observation_space, 1).inputs if rows is None else remembering
        self._add(student, self._variants(policy, inputs), has_memory=rows is not None, control=rows is not None)


def search(env: VecEnv, name: str, steps: int, seed: int) -> list[Predictor]:
    """The cross-entropy search of :mod:`rl_larnn.envs.bounds.floor`, on the very observations of an agent.

    :param name: of a family of :data:`rl_larnn.envs.bounds.memoryless.FAMILIES`
    :param steps: environment steps after which no further generation begins
    :return: the mean of the last generation, and the best of all policies that were tried
    """
    family, frames = FAMILIES[name], Frames(env.observation_space, 1)
    generator, taken = np.random.default_rng(seed), 0

    def policy(parameters: np.ndarray) -> Predictor:
        """Row r of a batch is acted on by row r of the parameters (B, D), or by the only one."""
        noise = np.random.default_rng(seed)

        def act(inputs: np.ndarray, _: bool) -> np.ndarray:
            each = np.broadcast_to(parameters, (len(inputs), parameters.shape[-1]))
            return family.actions(each, inputs[:, None], env.action_space, noise)[:, 0]

        return vector_policy(act, frames.inputs, sampled=False)

    def mean_returns(policies: np.ndarray) -> np.ndarray:
        nonlocal taken
        first_seed, count = int(generator.integers(2**31 - 10**6)), len(policies) * SEARCH.episodes
        # Rows repeat from the first until all environments are filled.
        rows = np.resize(
            np.repeat(policies, SEARCH.episodes, axis=0), (count + -count % env.num_envs, policies.shape[1])
        )
        returns = []
        for first in range(0, len(rows), env.num_envs):
            played = play(policy(rows[first : first + env.num_envs]), env, env.num_envs, first_seed + first)
            returns.append(played.returns)
            taken += played.steps * env.num_envs
        return np.concatenate(returns)[:count].reshape(-1, SEARCH.episodes).mean(1)

    size = family.size(frames.width, env.action_space)
    generations = cross_entropy_search(mean_returns, size, SEARCH, generator)
    finalists = next(policies for policies in generations if taken >= steps)
    return [policy(one[None]) for one in finalists]
