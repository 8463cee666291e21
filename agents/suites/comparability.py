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
    lost = [own for own in comparisons if own.ours <= own.theirs]
    won, memories = len(comparisons) - len(lost), sum(map(is_memory, results.methods))
    scores = (f"{own.task} ({own.best} {number(own.ours)}, {OPPONENT} {number(own.theirs)})" for own in lost)
    sentences = {
        f"On {won} of {len(comparisons)} tasks the best of our memories beats `{OPPONENT}` after equal steps, by "
        "interquartile mean of the score.": comparisons,
        f"The best is picked afterwards out of {memories}, which favours ours.": comparisons and memories > 1,
        f"It does not, marked {MARK}, on {', '.join(scores)}.": lost,
        f"Not compared with `{OPPONENT}`: {'; '.join(f'{task}, {why}' for task, why in reasons.items())}.": reasons,
    }
    return " ".join(sentence for sentence, applies in sentences.items() if applies), {own.task for own in lost}


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
        recipes = {task: RECIPES[task].for_memory.get(name, {}) for task in results.tasks if task in RECIPES}
        if cued := [task for task, options in recipes.items() if options.get("previous_action")]:
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
    gains = {name: results.gains(name) for name in results.methods}
    unscaled = {task: find_task(task) for task in results.tasks if not scaled_task(task)}
    controls = [task for task, found in unscaled.items() if found is not None and not found.needs_memory]
    lists = {
        "Over fewer tasks than the rest, so not comparable with it": [
            f"`{name}`" for name, own in gains.items() if len(own) < len(results.tasks) - len(unscaled)
        ],
        "Only raw scores, because a memory has next to nothing to gain there": controls,
        "Only raw scores, because floor or ceiling is unknown": [task for task in unscaled if task not in controls],
    }
    yield from (f"{note}: {', '.join(names)}." for note, names in lists.items() if names)
    for name in MEMORYLESS:
        above = {task: interquartile_mean(own) for task, own in gains.get(name, {}).items()}
        if doubtful := [f"{task} ({gain:.2f})" for task, gain in above.items() if gain > DOUBTFUL_GAIN]:
            yield (
                f"`{name}` remembers nothing, yet its gain is above {DOUBTFUL_GAIN:g} on {', '.join(doubtful)}: there "
                "the floor is too low, or its inputs hold more than the task's."
            )
