"""MiniGrid Memory: look at an object, walk down a corridor, turn to the object of the same kind.

Source: Chevalier-Boisvert et al., Minigrid & Miniworld, NeurIPS 2023 (the environments MiniGrid-MemoryS7-v0 and so on).
"""

from rl_larnn.envs.bounds.minigrid_memory import ACTIONS, KINDS, memory_ceiling, memory_floor, memory_random
from rl_larnn.envs.bounds.sources import Calculated
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import ObjectsInView, SelectActions

_IN_ONE_VIEW = (
    "Hardly a test of memory: whoever turns round at the junction sees the cue and both objects at once, and the "
    "direction it turns to next keeps the answer. That is nearly as good as a memory."
)
_NOT_IN_ONE_VIEW = "From the junction the cue is out of sight."


def _task(size: int, random: float, floor: float, ceiling: float) -> Task:
    arguments = {"size": size}
    # The junction is size - 3 cells from the cue, and the agent sees six cells ahead.
    in_one_view = size - 3 <= 6
    return Task(
        id=f"MiniGridMemory-S{size}-v0",
        base="minigrid.envs.memory:MemoryEnv",
        kwargs=arguments,
        wrappers=(
            ObjectsInView.wrapper_spec(kinds=KINDS),
            SelectActions.wrapper_spec(actions=tuple(range(ACTIONS))),
        ),
        max_episode_steps=5 * size**2,
        reward_threshold=0.95,
        random=Bound(random, Calculated(memory_random, arguments)),
        floor=Bound(floor, Calculated(memory_floor, arguments)),
        ceiling=Bound(ceiling, Calculated(memory_ceiling, arguments)),
        observation=(
            "for each cell of the 7 x 7 view, which the agent looks into from the middle of its near edge, 1 for what "
            "is there, else 0: not visible; empty; wall; key; ball"
        ),
        action="0 turn left, 1 turn right, 2 one cell forward",
        reward=f"1 - 0.9 n / {5 * size**2} for reaching the right object after n steps, 0 for the other one",
        note=(
            f"{_IN_ONE_VIEW if in_one_view else _NOT_IN_ONE_VIEW} The mission text, the compass, the colours (all "
            "objects are green) and the four actions without an effect are left out. The ceiling is of one who "
            "need not look at the cue first."
        ),
        extra="envs",
        needs_memory=not in_one_view,
    )


TASKS = (
    _task(7, 0.242, 0.8968, 0.9835),
    _task(9, 0.2607, 0.9193, 0.9878),
    _task(11, 0.2724, 0.4945, 0.9903),
    _task(13, 0.2805, 0.4954, 0.992),
)
