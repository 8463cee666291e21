"""T-Maze with some lengths of the corridor. Any other: the argument ``corridor`` of the environment."""

from rl_larnn.envs.sources import Calculated, Known
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.tasks.tmaze import random_return

_RANDOM = {  # by the form, then by the length
    False: {10: -0.9667, 50: -0.9933, 250: -0.9987, 1000: -0.9997},
    True: {10: -0.9741, 50: -0.9948, 250: -0.999, 1000: -0.9997},
}


def _task(corridor: int, active: bool) -> Task:
    return Task(
        id=f"TMaze{'Active' if active else 'Passive'}-{corridor}-v0",
        base="rl_larnn.envs.tasks.tmaze:TMaze",
        kwargs={"corridor": corridor, "active": active},
        free=("corridor", "shortest"),
        wrappers=(),
        max_episode_steps=corridor + (3 if active else 1),
        reward_threshold=0.9,
        random=Bound(_RANDOM[active][corridor], Calculated(random_return, {"corridor": corridor, "active": active})),
        floor=Bound(
            0.5,
            Known(
                "to be in time at the junction leaves no step to spare for marking the cue in the position, and there "
                "both goals look alike: one of two is hit"
            ),
        ),
        ceiling=Bound(1.0, Known("to the cue, right to the junction and into the right arm without a detour")),
        observation=(
            "1 at the junction and in its arms, else 0; the cue, 1 for up and -1 for down, on the first visit to the "
            "left end, the arm in the same form in the arms, else 0 (no unit)"
        ),
        action="0 right, 1 up, 2 left, 3 down, by one cell; against a wall nothing moves",
        reward=(
            "1 at the last step in the arm with the goal; at the steps before, -1 / corridor while further to the "
            "left than the best agent is by then at least"
        ),
        note=(
            "After Ni et al. 2023. The cue is "
            + ("one step to the left of the start" if active else "at the start")
            + ", and the episode just long enough for the best agent. Floor and ceiling hold for every corridor "
            "(--env-kwargs corridor=N) and for lengths that are drawn (shortest=M), the random score for this one."
        ),
    )


TASKS = tuple(_task(corridor, active) for active in (False, True) for corridor in (10, 50, 250, 1000))
