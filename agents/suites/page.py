"""The page of a suite in Markdown, beside its pictures: results, how certain they are, and how to repeat them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import compress
from pathlib import Path

from rl_larnn.agents.offline.recipes import offline_recipe
from rl_larnn.agents.suites import tables
from rl_larnn.agents.suites.comparability import notes, verdict
from rl_larnn.agents.suites.definitions import KINDS
from rl_larnn.agents.suites.figures import draw_dataset_scores, draw_figures
from rl_larnn.agents.suites.methods import CONTROL
from rl_larnn.agents.suites.records import CURVES, RESULTS, CurvePoint, RunRecord, run_name
from rl_larnn.agents.suites.suite_results import SuiteResults, scaled_task
from rl_larnn.agents.suites.tasks import DatasetTask
from rl_larnn.envs import resolve_id
from rl_larnn.errors import UserError
from rl_larnn.files import write_text

PAGE = "README.md"

_GAIN = """\
A gain of 0 is the floor, the score of the best policy known that remembers nothing, and 1 the ceiling, the best score \
known with everything visible; what lies clearly above 0 was, as far as is known, earned by remembering.
The score of a run is the mean return over the last 10 % of its evaluations, not its best one, and the \
interquartile mean (IQM) is the mean of the middle half of the runs (of fewer than four: of all), so that no single \
lucky or unlucky run decides it.
An interval holds 95 % of what redrawing the seeds within each task gives: it tells what other seeds might have \
reached on these tasks, and nothing about other tasks; with few seeds it is somewhat too narrow."""

_FINAL = "A run keeps its best checkpoint. Its mean return on fresh episodes, mean over seeds (worst seed)."

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

_NORMALISED = """\
Normalised score: 0 is the mean return of random play, 100 that of the behaviour policy that counts as the expert. \
Each cell is the mean over seeds of the last agent's mean return over fresh episodes (worst seed); no checkpoint was \
selected. The target return is the expert's mean return, or the highest of the data where that is lower; `bc` and \
`bc-best-10%` have no target and see the present observation only. `none` is told the return and the time, and sees \
the present observation only. `transformer` is the Decision Transformer: a window of 20 steps, three tokens each."""

_SPEED = "Runs went side by side on a busy machine, so these are lower than what one run alone reaches."


def write_page(
    folder: Path,
    records: Iterable[RunRecord],
    title: str,
    command: str,
    curves: Sequence[CurvePoint] = (),
    datasets: Sequence[DatasetTask] = (),
) -> Path:
    """Write ``README.md`` and its pictures.

    :param records: all runs, finished or failed
    :param command: what reproduces the runs
    :param curves: the evaluations of runs on environments; without any there is no picture of them
    :param datasets: those to show, for runs on datasets
    :return: the page
    :raises UserError: if there is no run, or matplotlib or SciPy is missing
    """
    results = SuiteResults(records)
    if not results.records:
        raise UserError("expected at least one run to write a page about, got none")
    folder.mkdir(parents=True, exist_ok=True)
    shown = [task for task in datasets if task.id in results.tasks]
    sections = _on_datasets(folder, results, shown) if datasets else _on_environments(folder, results, curves)
    whole = [f"# {title}", *sections, "## How to repeat it", f"```bash\n{command}\n```", _provenance(results, curves)]
    write_text(folder / PAGE, "\n\n".join(filter(None, whole)) + "\n")
    return folder / PAGE


def _on_environments(folder: Path, results: SuiteResults, curves: Sequence[CurvePoint]) -> list[str]:
    text, lost = verdict(results)
    sections = [tables.gain_summary(results), text, notes(results), _failures(results), _GAIN, "## Memory gain"]
    if any(map(scaled_task, results.tasks)):
        sections += ["IQM over seeds (worst seed); the best of a row is bold.", tables.gain_table(results, lost)]
    else:
        sections.append("No task here has a floor and a ceiling to measure a gain between.")
    sections += ["## Scores", "Mean return of an episode, IQM over seeds (worst seed); bounds ± standard error."]
    sections += [tables.score_table(results, lost), "## Final agents", _FINAL, tables.return_table(results)]
    for name in draw_figures(folder, results, curves):
        heading, caption = _PICTURES[name]
        sections += [f"## {heading}", f"![{heading}]({name})", caption]
    return sections


def _on_datasets(folder: Path, results: SuiteResults, datasets: Sequence[DatasetTask]) -> list[str]:
    picture = draw_dataset_scores(folder, results, [task.id for task in datasets])
    sections = [_NORMALISED + _without_last_action(datasets), tables.dataset_summary(results, datasets)]
    sections += [_failures(results), f"![Scores]({picture})"]
    for kind, meaning in KINDS.items():
        if own := [task for task in datasets if task.kind == kind]:
            sections += [f"## {kind.capitalize()} datasets: {meaning}", tables.dataset_table(results, own)]
    return [*sections, "## Speed", tables.speed_table(results), _SPEED]


def read_heading(folder: Path) -> tuple[str, str] | None:
    """Title and command of the page in a folder, or ``None`` if there is no such page."""
    try:
        text = (folder / PAGE).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.match(r"# ([^\n]+)\n.*?^```bash\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)
    return None if found is None else (found[1], found[2])


def _without_last_action(tasks: Sequence[DatasetTask]) -> str:
    """On which datasets the recipe hides the last action, which leaves the Transformer two tokens."""
    recipes = [offline_recipe(resolve_id(task.collection.env), CONTROL, 1)[0] for task in tasks]
    hidden = [recipe.get("previous_action") is False for recipe in recipes]
    names = ", ".join(dict.fromkeys(task.id.partition("/")[0] for task in compress(tasks, hidden)))
    return f" On {names} no method sees the last action, and there it has two." if names else ""


def _failures(results: SuiteResults) -> str:
    if not results.failed:
        return ""
    lines = [f"- {run_name(*run.key)}: `{' '.join(run.error.replace('`', chr(39)).split())}`" for run in results.failed]
    return "\n".join([f"Failed runs, which count nowhere: {len(lines)}.", "", *lines])


def _provenance(results: SuiteResults, curves: Sequence[CurvePoint]) -> str:
    """Versions and machines; where there are several, with the number of their runs."""
    evaluations = f", its evaluations are in [`{CURVES}`]({CURVES})" if curves else ""
    lines = [f"Every run is a row of [`{RESULTS}`]({RESULTS}){evaluations}.", ""]
    for label, field in (("versions", "versions"), ("git revision", "git_revision"), ("machine", "machine")):
        found = Counter(value for run in results.records if (value := getattr(run, field)))
        texts = [f"{value} ({runs} runs)" if len(found) > 1 else value for value, runs in found.most_common()]
        lines.append(f"- {label}: {', or '.join(texts) or 'not recorded'}")
    return "\n".join(lines)
