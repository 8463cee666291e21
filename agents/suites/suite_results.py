"""The results of a suite by task and method, on the scale of each task, and which of them can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from rl_larnn.agents.suites.methods import is_memory, method_order
from rl_larnn.agents.suites.records import RunRecord
from rl_larnn.agents.suites.statistics import Scores, interquartile_mean
from rl_larnn.envs import TASKS, Task, find_task

#: Steps that differ by less than this share are equal: rollouts of different lengths overshoot by a little.
STEP_TOLERANCE = 0.05


class Comparison(NamedTuple):
    """The best of our memories against one opponent on one task, as interquartile means of the score over seeds."""

    task: str
    best: str
    ours: float
    theirs: float


def scaled_task(task: str) -> Task | None:
    """The task if a gain can be computed on it, else ``None``.

    It has to be in the registry, with a ceiling above its floor. On a control, whose ceiling is next to its floor, a
    gain would be noise divided by almost nothing.
    """
    found = find_task(task)
    return found if found is not None and found.needs_memory and found.ceiling.value > found.floor.value else None


def memory_gain(task: str, score: float) -> float | None:
    """``(score - floor) / (ceiling - floor)``; ``None`` where :func:`scaled_task` is."""
    found = scaled_task(task)
    return None if found is None else (score - found.floor.value) / (found.ceiling.value - found.floor.value)


def equal_steps(first: float, second: float) -> bool:
    """Whether two numbers of environment steps differ by no more than :data:`STEP_TOLERANCE` of the larger."""
    return abs(first - second) <= STEP_TOLERANCE * max(first, second)


class SuiteResults:
    """All runs of a suite.

    :param records: finished and failed runs; the failed ones are only counted
    """

    def __init__(self, records: Iterable[RunRecord]) -> None:
        self.records = sorted(records, key=lambda record: record.key)
        self.failed = [record for record in self.records if record.score is None]
        self.tasks = sorted({record.task for record in self.records}, key=_task_order)
        self.methods = sorted({record.method for record in self.records}, key=method_order)
        self._finished: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
        for record in self.records:
            if record.score is not None:
                self._finished[record.task, record.method].append(record)

    def finished(self, method: str, task: str | None = None) -> list[RunRecord]:
        """Finished runs of a method, on one task or on all."""
        tasks = self.tasks if task is None else [task]
        return [record for name in tasks for record in self._finished.get((name, method), [])]

    def scores(self, method: str) -> dict[str, list[float]]:
        """Per task that it has finished, its score with each seed."""
        return self._values(method, lambda record: record.score)

    def mean_returns(self, method: str) -> dict[str, list[float]]:
        """Per task that it has finished, the mean return of each seed's final agent."""
        return self._values(method, lambda record: record.mean_return)

    def _values(self, method: str, value: Callable[[RunRecord], float | None]) -> dict[str, list[float]]:
        runs = {task: [value(run) for run in self.finished(method, task)] for task in self.tasks}
        return {task: [number for number in own if number is not None] for task, own in runs.items() if own}

    def gains(self, method: str) -> dict[str, list[float]]:
        """Per task that it has finished and that has a floor and a ceiling, its memory gain with each seed."""
        found = {task: [memory_gain(task, score) for score in own] for task, own in self.scores(method).items()}
        return {task: [gain for gain in own if gain is not None] for task, own in found.items() if None not in own}

    def steps(self, method: str, task: str) -> float | None:
        """Median environment steps of its finished runs on a task."""
        runs = self.finished(method, task)
        return float(np.median([run.steps for run in runs])) if runs else None

    def comparable(self, task: str, method: str, opponent: str) -> bool:
        """Whether both have finished the task, after equal steps."""
        own, theirs = self.steps(method, task), self.steps(opponent, task)
        return own is not None and theirs is not None and equal_steps(own, theirs)

    def against(self, method: str, opponent: str) -> tuple[Scores, Scores]:
        """Scores of both on the tasks where they may be compared; empty where there is none."""
        own, theirs = self.scores(method), self.scores(opponent)
        tasks = [task for task in self.tasks if self.comparable(task, method, opponent)]
        return {task: own[task] for task in tasks}, {task: theirs[task] for task in tasks}

    def compare(self, opponent: str) -> tuple[list[Comparison], dict[str, str]]:
        """On each task the best of our memories against an opponent.

        :return: the comparisons, and the reason for each task on which there can be none
        """
        comparisons, reasons, theirs = [], {}, self.scores(opponent)
        for task in self.tasks:
            ours = [name for name in self.methods if is_memory(name) and self.finished(name, task)]
            equal = [name for name in ours if self.comparable(task, name, opponent)]
            if not ours or task not in theirs:
                reasons[task] = f"no finished run of {'a memory' if task in theirs else opponent}"
            elif not equal:
                reasons[task] = "steps differ"
            else:
                means = {name: interquartile_mean(self.scores(name)[task]) for name in equal}
                best = max(means, key=lambda name: means[name])
                comparisons.append(Comparison(task, best, means[best], interquartile_mean(theirs[task])))
        return comparisons, reasons


def _task_order(task: str) -> tuple[int, str]:
    found = find_task(task)
    return (len(TASKS) if found is None else list(TASKS).index(found.id)), task
