"""The account of a run: when it was solved, and for how long it has been training."""

from __future__ import annotations

import json
from dataclasses import replace

from rl_larnn.agents.runs.results import WINDOW, Progress


def test_solved_is_the_first_time_a_full_window_reaches_the_threshold() -> None:
    progress = Progress(threshold=10.0)
    for steps in range(1, WINDOW):
        progress.add_episode(1000.0, steps)
    assert progress.solved_at_steps is None, "fewer episodes than the window do not count"
    for steps in range(WINDOW, 2 * WINDOW):
        progress.add_episode(0.0, steps)
    # After n zeros the mean is 1000 * (100 - n) / 100, which is at least 10 from the first full window on.
    assert progress.solved_at_steps == WINDOW
    assert Progress(threshold=None).solved_at_steps is None


def test_the_account_survives_json_and_its_clock_stops_between_sessions() -> None:
    progress = Progress(threshold=5.0, earlier_s=100.0)
    for steps in range(1, 151):
        progress.add_episode(float(steps % 7 + 3), steps)
    progress.evaluations.append((150, 7.5))
    again = Progress.from_json(json.loads(json.dumps(progress.to_json())))
    assert again == replace(progress, earlier_s=again.earlier_s)
    assert again.recent.maxlen == WINDOW and 100 <= again.wall_s < 110


def test_checkpoints_of_earlier_revisions_are_read() -> None:
    progress = Progress(evaluations=[(3, 4.0)])
    data = progress.to_json()
    data["trials"] = data.pop("evaluations")
    assert Progress.from_json({**data, "curve": [[3, 1.0, 0.5]]}).evaluations == [(3, 4.0)]
