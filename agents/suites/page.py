"""The page of a suite: what was reached, how sure that is, and how to get it again, in Markdown beside its pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rl_larnn.agents.algorithms import BASELINES
from rl_larnn.agents.settings.recipes import RECIPES
from rl_larnn.agents.suites.figures import draw_figures
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, RunRecord
from rl_larnn.agents.suites.statistics import RELIABLE_SEEDS, interquartile_mean
from rl_larnn.agents.suites.suite_results import CONTROL, SuiteResults, is_memory, scaled_task
from rl_larnn.agents.suites.tables import MARK, gain_table, kept_table, number, score_table, summary_table
from rl_larnn.envs import find_task
from rl_larnn.errors import UserError
from rl_larnn.files import replacing

PAGE = "README.md"

#: The stock recurrent agent that our memories are held against, task by task.
RIVAL = "contrib-lstm"

#: Methods that see one observation at a time, and the gain from which they call a floor into question.
MEMORYLESS, DOUBTFUL_GAIN = (CONTROL, "ppo"), 0.1

_MEANING = """\
A gain of 0 is the floor, the score of the best policy known that remembers nothing, and 1 the ceiling, the best score \
known with everything visible; what lies clearly above 0 was, as far as is known, earned by remembering.
The score of a run is the mean return over the last 10 % of its evaluations, not its best moment, and the \
interquartile mean (IQM) is the mean of the middle half of the runs (of fewer than four: of all), so that no single \
lucky or unlucky run decides it.
An interval holds 95 % of what redrawing the seeds within each task gives: it tells what other seeds might have \
reached on these tasks, and nothing about other tasks; with few seeds it is somewhat too narrow."""

_KEPT_MEANING = (
    "A run keeps the agent that was best on the way. Its mean return on fresh episodes, mean over seeds (worst seed)."
)

_PICTURES = {
    "curves.png": (
        "Learning curves",
        "Interquartile mean over seeds, band from the worst seed to the best; floor and ceiling are thin lines.",
    ),
    "profiles.png": (
        "Performance profiles",
        "Which part of the runs ends above a gain, over all tasks; higher is better. Bands are 95 % intervals.",
    ),
    "improvement.png": (
        "Probability of improvement",
        "How probable it is that a run beats one of the opponent's on the same task after equal steps, averaged over "
        "tasks; ties count half. Bars are 95 % intervals; one that holds 0.5 decides nothing.",
    ),
}


def write_page(
    folder: Path, records: Iterable[RunRecord], curves: Sequence[CurvePoint], title: str, command: str
) -> Path:
    """Write ``README.md`` and the pictures that it shows into a folder.

    :param records: all runs, finished or failed
    :param curves: their evaluations; without any there is no picture of them
    :param command: what reproduces the runs
    :return: the page
    :raises UserError: if there is no run, or matplotlib or SciPy is missing
    """
    results = SuiteResults(records)
    if not results.records:
        raise UserError("expected at least one run to write a page about, got none")
    folder.mkdir(parents=True, exist_ok=True)
    verdict, lost = _verdict(results)
    sections = [f"# {title}", summary_table(results.records), verdict, _reservations(results), _failures(results)]
    sections += [_MEANING, "## Memory gain"]
    if any(map(scaled_task, results.tasks)):
        sections += ["IQM over seeds (worst seed); the best of a row is bold.", gain_table(results, lost)]
    else:
        sections.append("No task here has a floor and a ceiling to measure a gain between.")
    sections += ["## Scores", "Mean return of an episode, IQM over seeds (worst seed); bounds ± standard error."]
    sections.append(score_table(results, lost))
    sections += ["## Agents that the runs kept", _KEPT_MEANING, kept_table(results)]
    for name in draw_figures(folder, results, curves):
        heading, caption = _PICTURES[name]
        sections += [f"## {heading}", f"![{heading}]({name})", caption]
    sections += ["## How to repeat it", f"```bash\n{command}\n```", _origin(results, bool(curves))]
    with replacing(folder / PAGE) as temporary:
        temporary.write_text("\n\n".join(filter(None, sections)) + "\n", encoding="utf-8")
    return folder / PAGE


def read_heading(folder: Path) -> tuple[str, str] | None:
    """Title and command of the page that :func:`write_page` left in a folder, or ``None`` if there is no such page."""
    try:
        text = (folder / PAGE).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.match(r"# ([^\n]+)\n.*?^```bash\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)
    return None if found is None else (found[1], found[2])


def _verdict(results: SuiteResults) -> tuple[str, set[str]]:
    """On how many tasks the best of our memories beats the rival; and the tasks on which it does not."""
    if RIVAL not in results.methods:
        return f"Without runs of `{RIVAL}` there is nothing to hold the memories against.", set()
    comparisons, reasons = results.compare(RIVAL)
    lost = [own for own in comparisons if not own.won]
    parts = []
    if comparisons:
        parts.append(
            f"On {len(comparisons) - len(lost)} of {len(comparisons)} tasks the best of our memories beats `{RIVAL}` "
            f"after equal steps, by interquartile mean of the score."
        )
        memories = sum(map(is_memory, results.methods))
        if memories > 1:
            parts.append(f"The best is picked afterwards out of {memories}, which favours ours.")
    if lost:
        scores = (f"{own.task} ({own.best} {number(own.ours)}, {RIVAL} {number(own.theirs)})" for own in lost)
        parts.append(f"It does not, marked {MARK}, on {', '.join(scores)}.")
    if reasons:
        parts.append(f"Not compared with `{RIVAL}`: {'; '.join(f'{task}, {why}' for task, why in reasons.items())}.")
    return " ".join(parts), {own.task for own in lost}


def _sees_its_action(task: str, method: str) -> bool:
    recipe = RECIPES.get(task)
    return recipe is not None and bool(recipe.for_memory.get(method, {}).get("previous_action"))


def _reservations(results: SuiteResults) -> str:
    """What a reader must know before trusting the first table."""
    scaled = [task for task in results.tasks if scaled_task(task)]
    gains = {name: results.gains(name) for name in results.methods}
    notes = []
    if any(name in BASELINES for name in results.methods):
        notes.append(
            "Baselines train with the task's recipe, whose values are those of RL Baselines3 Zoo where it has "
            "the task, without what the recipe lays over them for single memories."
        )
    for name in results.methods:
        if cued := [task for task in results.tasks if _sees_its_action(task, name)]:
            notes.append(
                f"`{name}` also sees its previous action, a memory of one step, on {', '.join(cued)}; the floors "
                "there and the other methods do without."
            )
    if any(len(runs) < RELIABLE_SEEDS for name in gains for runs in results.scores(name).values()):
        notes.append(
            f"Some results rest on fewer than {RELIABLE_SEEDS} seeds: their intervals are unreliable, and a single "
            "seed says nothing about chance."
        )
    if partial := [f"`{name}`" for name, own in gains.items() if len(own) < len(scaled)]:
        notes.append(f"Over fewer tasks than the rest, so not comparable with it: {', '.join(partial)}.")
    unscaled = [task for task in results.tasks if task not in scaled]
    controls = [task for task in unscaled if (found := find_task(task)) is not None and not found.needs_memory]
    if controls:
        notes.append(f"Only raw scores, because a memory has next to nothing to gain there: {', '.join(controls)}.")
    if unknown := [task for task in unscaled if task not in controls]:
        notes.append(f"Only raw scores, because floor or ceiling is unknown: {', '.join(unknown)}.")
    for name in MEMORYLESS:
        above = {task: interquartile_mean(own) for task, own in gains.get(name, {}).items()}
        if doubtful := [f"{task} ({gain:.2f})" for task, gain in above.items() if gain > DOUBTFUL_GAIN]:
            notes.append(
                f"`{name}` remembers nothing, yet its gain is above {DOUBTFUL_GAIN:g} on {', '.join(doubtful)}: there "
                "the floor is too low, or its inputs hold more than the task's."
            )
    return "\n".join(f"- {note}" for note in notes)


def _failures(results: SuiteResults) -> str:
    if not results.failed:
        return ""
    lines = [f"- {run.name}: `{' '.join(run.error.replace('`', chr(39)).split())}`" for run in results.failed]
    return "\n".join([f"Failed runs, which count nowhere: {len(lines)}.", "", *lines])


def _origin(results: SuiteResults, curves: bool) -> str:
    """Versions and machines; where there are several, with the number of their runs."""
    lines = [
        f"Every run is a row of [`{RESULTS}`]({RESULTS})"
        + (f", its evaluations are in [`{CURVES}`]({CURVES})." if curves else ".")
    ]
    for label, field in (("versions", "versions"), ("git revision", "git_revision"), ("machine", "machine")):
        found = Counter(value for run in results.records if (value := getattr(run, field)))
        texts = [f"{value} ({runs} runs)" if len(found) > 1 else value for value, runs in found.most_common()]
        lines.append(f"- {label}: {', or '.join(texts) or 'not recorded'}")
    return "\n".join([lines[0], "", *lines[1:]])
