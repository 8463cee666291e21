"""A return beside what the task's random, best memoryless and best known agents reach, as rows for a table."""

from __future__ import annotations

from rl_larnn.envs import find_task


def reference_rows(env_id: str, threshold: float | None) -> list[tuple[str, str]]:
    """Label and value of each score that gives returns of this environment a scale; none where nothing is known."""
    rows = []
    task = find_task(env_id)
    if task is not None:
        rows.append(("random actions", f"{task.random.value:g}"))
        rows.append(("floor (best without memory)", f"{task.floor.value:g}"))
        rows.append(("ceiling (everything visible)", f"{task.ceiling.value:g}"))
    if threshold is not None:
        rows.append(("solved from", f"{threshold:g}"))
    return rows
