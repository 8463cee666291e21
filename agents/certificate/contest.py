"""The contest behind question A: which contenders there are, in which order they are found, and when to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.type_aliases import PolicyPredictor

from rl_larnn.agents.certificate.bench import Bench
from rl_larnn.agents.certificate.contenders import Amanuensis, FramePolicy, Reader
from rl_larnn.agents.certificate.environment_question import Contender, reaches
from rl_larnn.agents.certificate.imitation import imitate, present_only, with_memory
from rl_larnn.agents.certificate.inputs import Frames
from rl_larnn.agents.certificate.interventions import reset_every
from rl_larnn.agents.certificate.plan import Plan
from rl_larnn.agents.certificate.references import References
from rl_larnn.agents.certificate.search import search, searchable
from rl_larnn.agents.certificate.states import StateRows
from rl_larnn.agents.certificate.twins import train_twin

#: Observations that the stacked twin sees.
STACK = 4

#: Families of the search, one simple and one that can be indifferent.
FAMILIES = ("linear-deterministic", "tanh-stochastic")

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
        for number, family in enumerate(FAMILIES):
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
