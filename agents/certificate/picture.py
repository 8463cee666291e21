"""The certificate as one picture. Needs matplotlib (the ``plots`` extra)."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import Any

from rl_larnn.agents.certificate.intervals import CONFIDENCE, Interval
from rl_larnn.agents.certificate.verdict import Certificate
from rl_larnn.agents.certificate.words import horizon_words, paragraph
from rl_larnn.agents.reporting.styles import figure_class

_WITH, _WITHOUT, _CONTROL = "tab:blue", "tab:orange", "tab:gray"


def draw(certificate: Certificate, path: Path) -> None:
    """Draw the contenders, the horizon curve, what is left, and the verdict in words.

    :param path: file to write; its suffix decides the format
    :raises UserError: if matplotlib is missing
    """
    figure = figure_class()(figsize=(10, 7.4), layout="constrained")
    # The words stand below the plots, over the whole width.
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, 0.17, 1, 0.83))  # type: ignore[call-arg]
    figure.text(0.012, 0.15, fill(paragraph(certificate), 135), va="top", fontsize=9.5, in_layout=False)
    parts = figure.subplot_mosaic("AABB;AABB;AABB;CCCC", height_ratios=[1, 1, 1, 0.45])
    _contenders(parts["A"], certificate)
    _horizon(parts["B"], certificate)
    _gain(parts["C"], certificate)
    figure.suptitle(f"Does it need memory, and does this agent use its own?\n{certificate.references.env_id}")
    figure.savefig(path, dpi=110)


def _contenders(axes: Any, certificate: Certificate) -> None:
    environment, known = certificate.environment, certificate.references
    names = list(environment.scores)
    for place, name in enumerate(names):
        score = environment.scores[name]
        remembers = name in environment.remembering
        color = _CONTROL if name.endswith("shown its memory") else _WITH if remembers else _WITHOUT
        axes.errorbar(score.mean, place, xerr=_ends(score), fmt="o", color=color, capsize=3)
    for label, bound in (("floor of the table", known.floor), ("ceiling", known.ceiling)):
        if bound is not None:
            axes.axvline(bound.value, color="0.6", linestyle="--", linewidth=1)
            axes.annotate(
                label, (bound.value, 1), xycoords=("data", "axes fraction"), xytext=(-3, -3),
                textcoords="offset points", rotation=90, ha="right", va="top", color="0.4", fontsize=7,
            )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel(f"return, mean and {CONFIDENCE:.0%} interval")
    colours = "blue: with memory, orange: without, grey: shown the agent's"
    axes.set_title(f"A. The environment: {environment.verdict}\n({colours})", fontsize=10)


def _horizon(axes: Any, certificate: Certificate) -> None:
    memory = certificate.memory
    axes.axhspan(memory.intact.low, memory.intact.high, color=_WITH, alpha=0.2, linewidth=0)
    axes.axhline(memory.intact.mean, color=_WITH, label="intact")
    for label, curve, style in (
        ("last n observations", memory.windows, "o-"),
        ("reset every n steps", memory.resets, "s:"),
    ):
        if curve:
            scores = list(curve.values())
            ends = [[score.mean - score.low for score in scores], [score.high - score.mean for score in scores]]
            axes.errorbar(list(curve), [score.mean for score in scores], yerr=ends, fmt=style, capsize=3, label=label)
    for label, score, color in (
        ("memory of another episode", memory.swapped, "tab:red"),
        ("frozen after the first step", memory.frozen, "tab:green"),
    ):
        if score is not None:
            axes.axhline(score.mean, color=color, linestyle="-.", linewidth=1.2, label=label)
    if memory.windows:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        axes.set_xticks([])
    axes.set_xlabel("n (observations, or steps)")
    axes.set_ylabel("return")
    words = horizon_words(memory)
    axes.set_title(f"B. The agent uses its memory: {memory.verdict}" + (f"\n({words})" if words else ""), fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False, fontsize=8)


def _gain(axes: Any, certificate: Certificate) -> None:
    gain = certificate.gain.gain
    axes.set_yticks([])
    axes.set_xlim(min(-0.05, 0 if gain is None else gain.low), max(1.05, 1 if gain is None else gain.high))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    if gain is None:
        axes.set_title("C. How much is left: cannot tell", fontsize=10)
        return
    axes.barh(0, gain.mean, xerr=_ends(gain), color=_WITH, alpha=0.6, capsize=4)
    axes.set_title(f"C. Got of what memory can give: {gain.mean:.0%}, left: {1 - gain.mean:.0%}", fontsize=10)


def _ends(interval: Interval) -> list[list[float]]:
    return [[interval.mean - interval.low], [interval.high - interval.mean]]
