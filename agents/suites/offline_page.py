"""The page of an offline suite: scores of all methods on all datasets, in Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl_larnn.agents.offline.recipes import offline_recipe
from rl_larnn.agents.reporting.styles import figure_class, styles
from rl_larnn.agents.suites.offline_jobs import OfflineRecord
from rl_larnn.agents.suites.offline_sets import KINDS, OfflineSet
from rl_larnn.agents.suites.tables import MISSING, markdown_table
from rl_larnn.envs import resolve_id
from rl_larnn.files import replacing

PAGE, PICTURE = "README.md", "scores.png"

_MEANING = """\
Normalised score: 0 is the mean return of random play, 100 that of the behaviour that counts as the expert. Each cell \
is the mean over seeds of the last agent's mean over fresh episodes (worst seed); nobody picked a better agent on the \
way. All are asked for the mean return of the expert, or for the highest of their data where that is lower; but for \
`bc` and `bc-best-10%`, which are asked for nothing and see the present only. `none` is told the return and the time, \
and sees the present only. `transformer` is the Decision Transformer: a window of 20 steps, three tokens each."""

_KIND_MEANING = {
    "plain": "everything is seen",
    "masked": "velocities are hidden from the learner, not from the behaviour",
    "recall": "half of the episodes are random play; one thing has to be recalled at the end",
}


def write_offline_page(
    folder: Path, sets: Sequence[OfflineSet], records: Sequence[OfflineRecord], title: str, command: str
) -> Path:
    """Write the page and its picture.

    :param records: finished runs, at least one
    :param command: what reproduces the runs
    :return: the page
    :raises UserError: if matplotlib is missing
    """
    _draw(folder, sets, records)
    sections = [f"# {title}", _MEANING + _without_last_action(sets), summary(sets, records), f"![Scores]({PICTURE})"]
    for kind in KINDS:
        own = [one for one in sets if one.kind == kind and _of(records, [one])]
        if own:
            sections += [f"## {kind.capitalize()} datasets: {_KIND_MEANING[kind]}", _scores(own, records)]
    sections += ["## Speed", _speeds(records), "## How to repeat it", f"```bash\n{command}\n```", _origin(records)]
    path = folder / PAGE
    with replacing(path) as temporary:
        temporary.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _without_last_action(sets: Sequence[OfflineSet]) -> str:
    """Says on which datasets the recipe shows nobody its last action, and so leaves the Transformer two tokens."""
    hidden = [
        one for one in sets if offline_recipe(resolve_id(one.config.env), "none", 1)[0].get("previous_action") is False
    ]
    names = list(dict.fromkeys(one.id.partition("/")[0] for one in hidden))
    return f" On {', '.join(names)} nobody sees the last action, and there it has two." if names else ""


def summary(sets: Sequence[OfflineSet], records: Sequence[OfflineRecord]) -> str:
    """Mean scores over the datasets of each kind, methods down."""
    kinds = [kind for kind in KINDS if _of(records, [one for one in sets if one.kind == kind])]
    rows = []
    for name in _methods(records):
        cells = []
        for kind in kinds:
            means = [_mean(records, one, name) for one in sets if one.kind == kind and _of(records, [one])]
            whole = [mean for mean in means if mean is not None]
            # A mean over fewer datasets than the others' would say nothing beside theirs.
            cells.append(f"{np.mean(whole):z.1f}" if len(whole) == len(means) else MISSING)
        rows.append([f"`{name}`", *cells])
    return markdown_table(["mean score over datasets", *kinds], rows)


def _scores(sets: Sequence[OfflineSet], records: Sequence[OfflineRecord]) -> str:
    names, rows = _methods(records), []
    for one in sets:
        means = [_mean(records, one, name) for name in names]
        best = max(
            f"{mean:z.1f}" for mean in means if mean is not None and mean == max(m for m in means if m is not None)
        )
        cells = []
        for name, mean in zip(names, means, strict=True):
            own = [record.score for record in _of(records, [one]) if record.contender == name]
            shown = MISSING if mean is None else f"**{mean:z.1f}**" if f"{mean:z.1f}" == best else f"{mean:z.1f}"
            cells.append(f"{shown} ({min(own):z.1f})" if len(own) > 1 else shown)
        rows.append([one.id, str(one.updates), *cells])
    return markdown_table(["dataset", "updates", *(f"`{name}`" for name in names)], rows)


def _speeds(records: Sequence[OfflineRecord]) -> str:
    rows = []
    for name in _methods(records):
        own = [record for record in records if record.contender == name]
        sizes = sorted({record.parameters for record in own})
        parameters = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        rows.append([f"`{name}`", f"{np.median([record.updates_per_s for record in own]):.0f}", parameters])
    note = "Runs went side by side on a busy machine, so these are lower than what one run alone reaches."
    return markdown_table(["", "updates/s (median)", "parameters"], rows) + f"\n\n{note}"


def _draw(folder: Path, sets: Sequence[OfflineSet], records: Sequence[OfflineRecord]) -> None:
    """One row of marks per dataset: a mark for each seed, a line where the mean is."""
    shown = [one for one in sets if _of(records, [one])]
    names = _methods(records)
    looks = styles(names)
    figure = figure_class()(figsize=(9, 1.2 + 0.55 * len(shown)), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(shown):
        for number, name in enumerate(names):
            height = place + 0.7 * (number / max(len(names) - 1, 1) - 0.5)
            own = [record.score for record in _of(records, [one]) if record.contender == name]
            look = {"color": looks[name]["color"], "label": name if place == 0 else None}
            axes.plot(own, [height] * len(own), looks[name]["marker"] or "|", markersize=4, **look)
    for border in range(1, len(shown)):
        axes.axhline(border - 0.5, color="0.9", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [one.id for one in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    for reference in (0, 100):
        axes.axvline(reference, color="0.6", linewidth=0.8)
    axes.set_xlabel("normalised score, a mark per seed (0 random play, 100 expert)")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / PICTURE) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _origin(records: Sequence[OfflineRecord]) -> str:
    machines = sorted({record.machine for record in records if record.machine})
    revisions = sorted({record.git_revision for record in records if record.git_revision})
    seeds = sorted({record.seed for record in records})
    return f"Seeds {', '.join(map(str, seeds))}; {'; '.join(machines)}; revisions {', '.join(revisions) or 'unknown'}."


def _methods(records: Sequence[OfflineRecord]) -> list[str]:
    return list(dict.fromkeys(record.contender for record in records))


def _of(records: Sequence[OfflineRecord], sets: Sequence[OfflineSet]) -> list[OfflineRecord]:
    ids = {one.id for one in sets}
    return [record for record in records if record.dataset in ids]


def _mean(records: Sequence[OfflineRecord], one: OfflineSet, name: str) -> float | None:
    own = [record.score for record in _of(records, [one]) if record.contender == name]
    return float(np.mean(own)) if own else None
