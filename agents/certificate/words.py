"""The certificate in plain words: one paragraph, and a page of Markdown."""

from __future__ import annotations

from rl_larnn.agents.certificate.environment_question import CANNOT_TELL, NEEDS, EnvironmentFinding
from rl_larnn.agents.certificate.intervals import CONFIDENCE, Interval
from rl_larnn.agents.certificate.memory_question import MemoryFinding
from rl_larnn.agents.certificate.verdict import Certificate, GainFinding

_SENTENCES = {NEEDS: "{env} needs memory", CANNOT_TELL: "whether {env} needs memory cannot be told"}


def paragraph(certificate: Certificate) -> str:
    """The answers to the three questions, for a reader who knows none of the terms."""
    env = certificate.references.env_id
    need = _SENTENCES.get(certificate.environment.verdict, "{env} does not need memory").format(env=env)
    parts = [
        f"{need[0].upper()}{need[1:]}: {certificate.environment.reason}{_gap(certificate.environment)}.",
        _use(certificate.memory),
        _left(certificate.gain),
    ]
    return " ".join(part for part in parts if part)


def horizon_words(memory: MemoryFinding) -> str:
    """How far back the agent looks, in a few words."""
    if memory.verdict != "yes":
        return ""
    if memory.horizon is None:
        return "how far back cannot be told"
    return f"the last {memory.horizon} observations are enough"


def markdown(certificate: Certificate, picture: str | None) -> str:
    """One page.

    :param picture: file name of the picture beside it, if there is one
    """
    memory, plan = certificate.memory, certificate.plan
    lines = [f"# Memory certificate: {certificate.references.env_id}", "", paragraph(certificate), ""]
    lines += [f"![scores, horizon and gain]({picture})", ""] if picture else []
    lines += ["| contender | memory | score | interval |", "| --- | --- | --- | --- |"]
    for name, score in certificate.environment.scores.items():
        has = "yes" if name in certificate.environment.remembering else "no"
        lines.append(f"| {name} | {has} | {score.mean:.4g} | {score.low:.4g} to {score.high:.4g} |")
    lines += ["", *_tampered(memory)]
    if certificate.environment.table:
        lines += [f"From the table of tasks: {certificate.environment.table}.", ""]
    lines += [
        f"Mean undiscounted returns of {plan.episodes} episodes on the same seeds for all, with Student's t intervals "
        f"at {CONFIDENCE:.0%}; differences are taken episode by episode. To repeat it: episodes={plan.episodes}, "
        f"search_steps={plan.search_steps}, seed={certificate.seed}, {certificate.n_envs} environments. "
        f"It took {certificate.wall_s:.0f} s.",
        "",
    ]
    return "\n".join(lines)


def _gap(environment: EnvironmentFinding) -> str:
    gap = environment.gap
    return "" if gap is None or environment.verdict != NEEDS else f", by {gap.mean:.4g} ({_span(gap)})"


def _span(interval: Interval) -> str:
    return f"{CONFIDENCE:.0%} interval {interval.low:.4g} to {interval.high:.4g}"


def _use(memory: MemoryFinding) -> str:
    if memory.verdict == "no":
        return f"This agent does not use a memory: {memory.reason}."
    if memory.verdict == "cannot tell":
        return f"Whether this agent uses its memory cannot be told: {memory.reason}."
    wiped = memory.windows[1]
    use = f"This agent uses its memory: {memory.intact.mean:.4g} as it is, {wiped.mean:.4g} with it wiped at every step"
    if memory.swapped is not None:
        use += f", {memory.swapped.mean:.4g} with that of another episode"
    return f"{use}; {horizon_words(memory)}{'' if memory.horizon is None else ' (the present one counts)'}."


def _left(gain: GainFinding) -> str:
    if gain.gain is None:
        return f"How much is left cannot be told ({gain.sources})."
    if gain.gain.high < 0:
        return (
            f"The agent is below the best without memory ({gain.floor:.4g}, ceiling {gain.ceiling:.4g}): all is left."
        )
    left = 1 - gain.gain.mean
    sizes = f"{CONFIDENCE:.0%} interval {1 - gain.gain.high:.0%} to {1 - gain.gain.low:.0%}"
    return (
        f"Of the way from the best without memory ({gain.floor:.4g}) to the ceiling ({gain.ceiling:.4g}), "
        f"{left:.0%} is left ({sizes})."
    )


def _tampered(memory: MemoryFinding) -> list[str]:
    if not memory.windows:
        return []
    lines = ["| the agent's memory | score | interval |", "| --- | --- | --- |"]
    rows = {"intact": memory.intact}
    rows |= {f"last {size} observations": score for size, score in memory.windows.items()}
    rows |= {f"reset every {size} steps": score for size, score in memory.resets.items()}
    if memory.swapped is not None:
        rows["of another episode, at every step"] = memory.swapped
    if memory.frozen is not None:
        rows["frozen after the first step"] = memory.frozen
    lines += [f"| {name} | {score.mean:.4g} | {score.low:.4g} to {score.high:.4g} |" for name, score in rows.items()]
    return [*lines, ""]
