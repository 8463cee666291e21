"""What a reader of a suite's page must know: how the memories compare with sb3-contrib's LSTM, and what limits that."""

from __future__ import annotations

from collections.abc import Iterator

from rl_larnn.agents.settings.recipes import RECIPES
from rl_larnn.agents.suites.methods import BASELINES, CONTROL, is_memory
from rl_larnn.agents.suites.statistics import RELIABLE_SEEDS, interquartile_mean
from rl_larnn.agents.suites.suite_results import SuiteResults, scaled_task
from rl_larnn.agents.suites.tables import MARK, number
from rl_larnn.envs import find_task

#: The baseline that our memories are compared with, task by task.
OPPONENT = "contrib-lstm"

#: Methods that see one observation at a time, and the gain above which their task's floor is doubtful.
MEMORYLESS, DOUBTFUL_GAIN = (CONTROL, "ppo"), 0.1


def verdict(results: SuiteResults) -> tuple[str, set[str]]:
    """On how many tasks the best of our memories beats the opponent, in words; and the tasks on which it does not."""
    if OPPONENT not in results.methods:
        return f"Without runs of `{OPPONENT}` there is no comparison with a baseline.", set()
    comparisons, reasons = results.compare(OPPONENT)
    lost = [own for own in comparisons if not own.won]
    parts = []
    if comparisons:
        parts.append(
            f"On {len(comparisons) - len(lost)} of {len(comparisons)} tasks the best of our memories beats "
            f"`{OPPONENT}` after equal steps, by interquartile mean of the score."
        )
        memories = sum(map(is_memory, results.methods))
        if memories > 1:
            parts.append(f"The best is picked afterwards out of {memories}, which favours ours.")
    if lost:
        scores = (f"{own.task} ({own.best} {number(own.ours)}, {OPPONENT} {number(own.theirs)})" for own in lost)
        parts.append(f"It does not, marked {MARK}, on {', '.join(scores)}.")
    if reasons:
        parts.append(f"Not compared with `{OPPONENT}`: {'; '.join(f'{task}, {why}' for task, why in reasons.items())}.")
    return " ".join(parts), {own.task for own in lost}


def notes(results: SuiteResults) -> str:
    """What limits the comparison of methods, as a list."""
    return "\n".join(f"- {note}" for note in (*_of_methods(results), *_of_gains(results)))


def _of_methods(results: SuiteResults) -> Iterator[str]:
    if any(name in BASELINES for name in results.methods):
        yield (
            "Baselines train with the task's recipe, whose values are those of RL Baselines3 Zoo where it has "
            "the task, without what the recipe lays over them for single memories."
        )
    for name in results.methods:
        if cued := [task for task in results.tasks if _sees_its_action(task, name)]:
            yield (
                f"`{name}` also sees its previous action, a memory of one step, on {', '.join(cued)}; the floors "
                "there and the other methods do without."
            )
    if any(len(runs) < RELIABLE_SEEDS for name in results.methods for runs in results.scores(name).values()):
        yield (
            f"Some results rest on fewer than {RELIABLE_SEEDS} seeds: their intervals are unreliable, and a single "
            "seed says nothing about chance."
        )


def _of_gains(results: SuiteResults) -> Iterator[str]:
    scaled = [task for task in results.tasks if scaled_task(task)]
    gains = {name: results.gains(name) for name in results.methods}
    if partial := [f"`{name}`" for name, own in gains.items() if len(own) < len(scaled)]:
        yield f"Over fewer tasks than the rest, so not comparable with it: {', '.join(partial)}."
    unscaled = [task for task in results.tasks if task not in scaled]
    controls = [task for task in unscaled if (found := find_task(task)) is not None and not found.needs_memory]
    if controls:
        yield f"Only raw scores, because a memory has next to nothing to gain there: {', '.join(controls)}."
    if unknown := [task for task in unscaled if task not in controls]:
        yield f"Only raw scores, because floor or ceiling is unknown: {', '.join(unknown)}."
    for name in MEMORYLESS:
        above = {task: interquartile_mean(own) for task, own in gains.get(name, {}).items()}
        if doubtful := [f"{task} ({gain:.2f})" for task, gain in above.items() if gain > DOUBTFUL_GAIN]:
            yield (
                f"`{name}` remembers nothing, yet its gain is above {DOUBTFUL_GAIN:g} on {', '.join(doubtful)}: there "
                "the floor is too low, or its inputs hold more than the task's."
            )


def _sees_its_action(task: str, method: str) -> bool:
    recipe = RECIPES.get(task)
    return recipe is not None and bool(recipe.for_memory.get(method, {}).get("previous_action"))
