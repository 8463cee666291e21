"""The certificate as a paragraph, as a page of Markdown, as a picture, and as files beside the run that it is about."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from textwrap import fill
from typing import Any

from rl_larnn.agents.certificate.certificate import CONFIDENCE, Certificate, GainFinding, Interval, MemoryFinding
from rl_larnn.agents.certificate.memory_need import CANNOT_TELL, NEEDS, NEEDS_NOT
from rl_larnn.agents.reporting.styles import figure_class
from rl_larnn.agents.reporting.tables import markdown_table
from rl_larnn.errors import UserError
from rl_larnn.files import replacing, write_json, write_text

_SUFFIXES = (".json", ".md", ".png")
_SENTENCES = {
    NEEDS: "{env} needs memory",
    NEEDS_NOT: "{env} does not need memory",
    CANNOT_TELL: "whether {env} needs memory cannot be told",
}
_WITH, _WITHOUT, _CONTROL = "tab:blue", "tab:orange", "tab:gray"


def save_certificate(certificate: Certificate, folder: Path) -> list[Path]:
    """Write ``certificate.json``, ``.md`` and, where matplotlib is installed, ``.png``; ``certificate-2`` and so on
    where there is one already.

    :return: the files
    :raises UserError: if the folder cannot be written to
    """
    names = (f"certificate{'' if number == 1 else f'-{number}'}" for number in count(1))
    stem = next(name for name in names if not any((folder / f"{name}{suffix}").exists() for suffix in _SUFFIXES))
    json_file, text_file, picture_file = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(picture_file) as temporary:
                _draw(certificate, temporary)
            pictures = [picture_file]
        except UserError:
            pictures = []
        write_text(text_file, markdown(certificate, pictures[0].name if pictures else None))
        write_json(json_file, {"paragraph": paragraph(certificate), **certificate.to_json()})
    except OSError as error:
        raise UserError(f"cannot write the certificate into {folder}: {error.strerror or error}") from error
    return [json_file, text_file, *pictures]


# ---------------------------------------------------------------------- text


def paragraph(certificate: Certificate) -> str:
    """The answers to the three questions, for a reader who knows none of the terms."""
    env, environment = certificate.references.env_id, certificate.environment
    need = _SENTENCES[environment.verdict].format(env=env)
    need = f"{need[0].upper()}{need[1:]}: {environment.reason}"
    if environment.verdict == NEEDS and (gap := environment.gap):
        need += f", by {gap.mean:.4g} ({CONFIDENCE:.0%} interval {gap.low:.4g} to {gap.high:.4g})"
    return f"{need}. {_use(certificate.memory)} {_left(certificate.gain)}"


def markdown(certificate: Certificate, picture: str | None) -> str:
    """One page.

    :param picture: file name of the picture beside it, if there is one
    """
    environment, memory, plan = certificate.environment, certificate.memory, certificate.plan
    methods = (
        [name, "yes" if name in environment.remembering else "no", *_cells(score)]
        for name, score in environment.scores.items()
    )
    parts = [
        f"# Memory certificate: {certificate.references.env_id}",
        paragraph(certificate),
        f"![scores, horizon and gain]({picture})" if picture else "",
        markdown_table(["method", "memory", "score", "interval"], methods, None),
        _interventions(memory) if memory.windows else "",
        f"From the table of tasks: {environment.table}." if environment.table else "",
        f"Mean undiscounted returns of {plan.episodes} episodes on the same seeds for all, with Student's t intervals "
        f"at {CONFIDENCE:.0%}; differences are taken episode by episode. To repeat it: episodes={plan.episodes}, "
        f"search_steps={plan.search_steps}, seed={certificate.seed}, {certificate.n_envs} environments. "
        f"It took {certificate.wall_s:.0f} s.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _interventions(memory: MemoryFinding) -> str:
    rows = {
        "intact": memory.intact,
        **{f"last {size} observations": score for size, score in memory.windows.items()},
        **{f"reset every {size} steps": score for size, score in memory.resets.items()},
        "of another episode, at every step": memory.swapped,
        "frozen after the first step": memory.frozen,
    }
    cells = ([name, *_cells(score)] for name, score in rows.items() if score is not None)
    return markdown_table(["the agent's memory", "score", "interval"], cells, None)


def _cells(score: Interval) -> tuple[str, str]:
    return f"{score.mean:.4g}", f"{score.low:.4g} to {score.high:.4g}"


def _use(memory: MemoryFinding) -> str:
    if memory.verdict == "no":
        return f"This agent does not use a memory: {memory.reason}."
    if memory.verdict == "cannot tell":
        return f"Whether this agent uses its memory cannot be told: {memory.reason}."
    swapped = "" if memory.swapped is None else f", {memory.swapped.mean:.4g} with that of another episode"
    back = "" if memory.horizon is None else " (the present one counts)"
    return (
        f"This agent uses its memory: {memory.intact.mean:.4g} as it is, {memory.windows[1].mean:.4g} with it reset "
        f"every step{swapped}; {_horizon(memory)}{back}."
    )


def _horizon(memory: MemoryFinding) -> str:
    """How far back an agent that uses its memory looks, in a few words."""
    if memory.horizon is None:
        return "how far back cannot be told"
    return f"the last {memory.horizon} observations are enough"


def _left(gain: GainFinding) -> str:
    if gain.gain is None:
        return f"How much is left cannot be told ({gain.sources})."
    bounds = f"the best without memory ({gain.floor:.4g}"
    if gain.gain.high < 0:
        return f"The agent is below {bounds}, ceiling {gain.ceiling:.4g}): all is left."
    return (
        f"Of the way from {bounds}) to the ceiling ({gain.ceiling:.4g}), {1 - gain.gain.mean:.0%} is left "
        f"({CONFIDENCE:.0%} interval {1 - gain.gain.high:.0%} to {1 - gain.gain.low:.0%})."
    )


# ---------------------------------------------------------------------- picture


def _draw(certificate: Certificate, path: Path) -> None:
    """Draw the methods, the horizon curve, the gain, and the paragraph.

    :param path: file to write as PNG
    :raises UserError: if matplotlib is missing
    """
    figure = figure_class()(figsize=(10, 7.4), layout="constrained")
    # The paragraph stands below the plots, over the whole width.
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, 0.17, 1, 0.83))  # type: ignore[call-arg]
    figure.text(0.012, 0.15, fill(paragraph(certificate), 125), va="top", fontsize=9.5, in_layout=False)
    parts = figure.subplot_mosaic("AABB;AABB;AABB;CCCC", height_ratios=[1, 1, 1, 0.45])
    _draw_methods(parts["A"], certificate)
    _draw_horizon(parts["B"], certificate.memory)
    _draw_gain(parts["C"], certificate.gain.gain)
    figure.suptitle(f"Does it need memory, and does this agent use its own?\n{certificate.references.env_id}")
    figure.savefig(path, dpi=110, format="png")


def _draw_methods(axes: Any, certificate: Certificate) -> None:
    environment, known = certificate.environment, certificate.references
    for place, (name, score) in enumerate(environment.scores.items()):
        color = _WITH if name in environment.remembering else _WITHOUT
        color = _CONTROL if name.endswith("shown its memory") else color
        axes.errorbar(score.mean, place, xerr=_ends([score]), fmt="o", color=color, capsize=3)
    for label, bound in (("floor of the table", known.floor), ("ceiling", known.ceiling)):
        if bound is not None:
            axes.axvline(bound.value, color="0.6", linestyle="--", linewidth=1)
            axes.annotate(
                label, (bound.value, 1), xycoords=("data", "axes fraction"), xytext=(-3, -3),
                textcoords="offset points", rotation=90, ha="right", va="top", color="0.4", fontsize=7,
            )  # fmt: skip
    axes.set_yticks(range(len(environment.scores)), list(environment.scores), fontsize=8)
    axes.set_ylim(len(environment.scores) - 0.5, -0.5)
    axes.set_xlabel(f"return, mean and {CONFIDENCE:.0%} interval")
    colours = "blue: with memory, orange: without, grey: shown the agent's"
    axes.set_title(f"A. The environment: {environment.verdict}\n({colours})", fontsize=10)


def _draw_horizon(axes: Any, memory: MemoryFinding) -> None:
    axes.axhspan(memory.intact.low, memory.intact.high, color=_WITH, alpha=0.2, linewidth=0)
    axes.axhline(memory.intact.mean, color=_WITH, label="intact")
    curves = {"last n observations": (memory.windows, "o-"), "reset every n steps": (memory.resets, "s:")}
    for label, (curve, style) in curves.items():
        if curve:
            scores = list(curve.values())
            means = [score.mean for score in scores]
            axes.errorbar(list(curve), means, yerr=_ends(scores), fmt=style, capsize=3, label=label)
    lines = {
        "memory of another episode": (memory.swapped, "tab:red"),
        "frozen after the first step": (memory.frozen, "tab:green"),
    }
    for label, (score, color) in lines.items():
        if score is not None:
            axes.axhline(score.mean, color=color, linestyle="-.", linewidth=1.2, label=label)
    if memory.windows:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_xticks([])
    axes.set_xlabel("n (observations, or steps)")
    axes.set_ylabel("return")
    horizon = f"\n({_horizon(memory)})" if memory.verdict == "yes" else ""
    axes.set_title(f"B. The agent uses its memory: {memory.verdict}{horizon}", fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=8)


def _draw_gain(axes: Any, gain: Interval | None) -> None:
    axes.set_yticks([])
    axes.set_xlim(min(-0.05, 0 if gain is None else gain.low), max(1.05, 1 if gain is None else gain.high))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if gain is None:
        axes.set_title("C. How much is left: cannot tell", fontsize=10)
        return
    axes.barh(0, gain.mean, xerr=_ends([gain]), color=_WITH, alpha=0.6, capsize=4)
    axes.set_title(f"C. Gained of what memory can give: {gain.mean:.0%}, left: {1 - gain.mean:.0%}", fontsize=10)


def _ends(scores: list[Interval]) -> list[list[float]]:
    return [[score.mean - score.low for score in scores], [score.high - score.mean for score in scores]]
