"""The table of scores, measured again: what counts as agreement, and that the command says so."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from gymnasium.error import DependencyNotInstalled

from rl_larnn.envs import TASKS, Bound, Task
from rl_larnn.envs.bounds import measure
from rl_larnn.envs.bounds.measure import Check, check, generations_of, repeatable
from rl_larnn.envs.bounds.rollouts import Score
from rl_larnn.envs.bounds.sources import Calculated, Cited, Known, RandomPlay, Search, SearchSettings

SCRIPT = Path(__file__).parents[1] / "scripts" / "measure_bounds.py"
CARTPOLE = TASKS["CartPole-POMDP-v0"]


@pytest.mark.parametrize(
    "stated, error, measured, measured_error, agrees",
    [
        (50.0, 3.0, 69.0, 4.0, True),  # 5 is the error of the difference, 20 four of them
        (50.0, 3.0, 71.0, 4.0, False),
        (0.5, None, 0.5009, 0.0, True),  # rounding
        (0.5, None, 0.5021, 0.0, False),
        (-1000.0, None, -1000.9, 0.0, True),
    ],
)
def test_agreement(stated: float, error: float | None, measured: float, measured_error: float, agrees: bool) -> None:
    bound = Bound(stated, RandomPlay(), error)
    assert Check("Some-v0", "random", bound, Score(measured, measured_error, 10)).agrees is agrees


def test_a_wrong_number_in_the_table_is_found() -> None:
    wrong = replace(CARTPOLE, random=replace(CARTPOLE.random, value=60.0))
    assert check(CARTPOLE, "random", quick=True).agrees and not check(wrong, "random", quick=True).agrees


def test_what_can_be_measured_again() -> None:
    assert repeatable(CARTPOLE) == ["random", "floor"] and repeatable(CARTPOLE, quick=True) == ["random"]
    assert repeatable(TASKS["HigherLowerEasy-v0"], quick=True) == ["random", "floor", "ceiling"]
    assert repeatable(TASKS["TMazeActive-10-v0"]) == ["random"]
    with pytest.raises(TypeError, match="expected a source that can be run again, got cited: a book"):
        measure.measure("CartPole-POMDP-v0", Cited("a book"), False, lambda best: None)


def test_a_search_is_run_with_the_arguments_of_its_row() -> None:
    settings = SearchSettings(generations=3, population=6, elite=2, episodes=2, restarts=2, evaluation_episodes=5)
    source, seen = Search(settings, ("linear-deterministic",)), []
    score = measure.measure("CartPole-POMDP-v0", source, False, seen.append)
    assert len(seen) == generations_of(source) == 6 and score.episodes == 5
    assert score == measure.measure("CartPole-POMDP-v0", source, False, seen.append)


def test_a_missing_package_is_reported_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> Score:
        raise DependencyNotInstalled("it needs a package")

    monkeypatch.setattr(measure, "random_score", missing)
    found = check(CARTPOLE, "random")
    assert found.measured is None and not found.agrees and found.problem == "it needs a package"


@pytest.mark.parametrize(
    "source, text",
    [
        (RandomPlay(20, 3), "uniformly random actions, 20 episodes, seed 3"),
        (Search(), "cross-entropy search (default settings)"),
        (
            Search(SearchSettings(restarts=1, evaluation_episodes=9), ("tanh-stochastic",)),
            "cross-entropy search (--policy tanh-stochastic --restarts 1 --evaluation-episodes 9)",
        ),
        (Calculated(sum, {"start": 1}), "calculated by builtins.sum(start=1)"),
        (Known("by construction"), "known: by construction"),
    ],
)
def test_sources_in_words(source: object, text: str) -> None:
    assert str(source) == text


def calculated_quickly() -> dict[str, list[tuple[Task, str]]]:
    """Calculated scores by their function: all but the floors of MiniGrid, which take seconds each."""
    by_function: dict[str, list[tuple[Task, str]]] = {}
    rows = ((task, name) for task in TASKS.values() for name in repeatable(task))
    for task, name in rows:
        source = getattr(task, name).source
        if isinstance(source, Calculated) and not (task.id.startswith("MiniGrid") and name == "floor"):
            by_function.setdefault(source.function.__name__, []).append((task, name))
    return by_function


@pytest.mark.parametrize("function", calculated_quickly())
def test_calculated_scores_are_those_of_the_table(function: str) -> None:
    if function.startswith("memory_"):
        pytest.importorskip("minigrid")
    found = [check(task, name) for task, name in calculated_quickly()[function]]
    assert [one for one in found if not one.agrees] == []


@pytest.mark.slow
def test_the_quick_command_agrees_with_the_table() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "--all", "--quick"], capture_output=True, text=True)
    assert run.returncode == 0 and " 0 are off" in run.stdout, run.stdout


@pytest.mark.slow
def test_the_whole_command_agrees_with_the_table() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "--all"], capture_output=True, text=True)
    assert run.returncode == 0 and " 0 are off" in run.stdout, run.stdout


def test_the_command_wants_an_environment_or_all() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "--all", "--seed", "3"], capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr == "error: --all takes the arguments of each row, got --seed as well\n"
    run = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert run.returncode == 2 and "one of the arguments --env --all is required" in run.stderr
