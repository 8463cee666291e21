"""The table of tasks, gathered from ``tasks/``, and their registration with Gymnasium.

A new task is a row in a file of ``tasks/``, and a new family of tasks is one file and one line in ``_FAMILIES``;
registration, tests and tools follow from the rows.
"""

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rl_larnn.envs.task import Task
from rl_larnn.envs.tasks import cards, cartpole, masked_control, minigrid_memory, mujoco, popgym_control, tmaze

_FAMILIES = (masked_control, cartpole, tmaze, cards, popgym_control, minigrid_memory, mujoco)

TASKS: dict[str, Task] = {task.id: task for family in _FAMILIES for task in family.TASKS}
"""Every task by its id."""


def register_tasks() -> None:
    """Register every task of the table with Gymnasium, unless it is registered already."""
    for task in TASKS.values():
        register_task(task)


def register_task(task: Task) -> None:
    """Put a task into the table, and register it with Gymnasium unless that has been done."""
    TASKS[task.id] = task
    spec = _spec(task)
    if gym.registry.get(task.id) != spec:
        gym.register(
            spec.id,
            spec.entry_point,
            reward_threshold=spec.reward_threshold,
            max_episode_steps=spec.max_episode_steps,
            disable_env_checker=spec.disable_env_checker,
            additional_wrappers=spec.additional_wrappers,
            kwargs=spec.kwargs,
        )


def _spec(task: Task) -> EnvSpec:
    own_class = ":" in task.base
    base = None if own_class else gym.spec(task.base)
    entry_point = task.base if base is None else str(base.entry_point)
    # The wrappers are part of the spec, so spec.make() rebuilds the task. Gymnasium applies them after the time limit.
    return EnvSpec(
        task.id,
        entry_point if task.extra is None else f"rl_larnn.envs.optional:{entry_point.replace(':', '.')}",
        reward_threshold=task.reward_threshold,
        # A class that ends its own episodes may do so at another step when its arguments differ.
        max_episode_steps=None if own_class else task.max_episode_steps,
        # The passive checker warns about small faults of environments that are not ours, below our wrappers.
        disable_env_checker=own_class and task.extra is not None,
        additional_wrappers=task.wrappers,
        kwargs={**({} if base is None else base.kwargs), **task.kwargs},
    )
