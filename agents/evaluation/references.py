"""The reference scores of a task, as rows for a table: random actions, floor and ceiling."""

from __future__ import annotations

from rl_larnn.envs import find_task


def reference_rows(env_id: str, threshold: float | None) -> list[tuple[str, str]]:
    """Label and value of each reference score; none where nothing is known.

    :param threshold: mean return that counts as solved
    """
    rows = []
    task = find_task(env_id)
    if task is not None:
        rows.append(("random actions", f"{task.random.value:g}"))
        rows.append(("floor (best without memory)", f"{task.floor.value:g}"))
        rows.append(("ceiling (everything visible)", f"{task.ceiling.value:g}"))
    if threshold is not None:
        rows.append(("solved from", f"{threshold:g}"))
    return rows
