"""The table of tasks. A new task is a row in ``TASKS``; registration, tests and tools follow from the row."""

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import MaskObservation


def _measured(value: float, standard_error: float, arguments: str) -> Bound:
    # A --policy names the winner of the four families, each of which was searched with the same settings.
    return Bound(value, f"computed by scripts/measure_bounds.py --env {arguments}", standard_error)


def _benchmark(value: float, algorithm: str, env_id: str) -> Bound:
    source = f"cited from benchmark.md of rl-baselines3-zoo: {algorithm} on {env_id}, everything visible, one run"
    return Bound(value, source)


_CARTPOLE = Task(
    id="CartPole-POMDP-v0",
    base_id="CartPole-v1",
    wrappers=(MaskObservation.wrapper_spec(hidden=(1, 3)),),
    max_episode_steps=500,
    reward_threshold=475.0,
    random=_measured(23.09, 0.61, "CartPole-POMDP"),
    floor=_measured(50.17, 1.35, "CartPole-POMDP"),
    ceiling=Bound(500.0, "known optimum: 1 for each step of a whole episode"),
    observation="cart position in m; pole angle in rad",
    action="0 or 1: push the cart to the left or right with 10 N for 0.02 s",
    reward="1 for every step until the pole leaves ±12 degrees or the cart ±2.4 m",
    note=(
        "Gymnasium's default integrator, explicit Euler, is kept, and the floor depends on it: explicit Euler feeds "
        "energy into the pole, so without the velocity no policy found lasts much over 50 steps. With the "
        "semi-implicit integrator memoryless policies of the same kind last 433 of 500 steps, and the task would "
        "hardly test a memory."
    ),
)

_PENDULUM = Task(
    id="Pendulum-POMDP-v0",
    base_id="Pendulum-v1",
    wrappers=(MaskObservation.wrapper_spec(hidden=(2,)),),
    max_episode_steps=200,
    reward_threshold=-200.0,
    random=_measured(-1223.49, 16.65, "Pendulum-POMDP"),
    floor=_measured(-1042.02, 19.8, "Pendulum-POMDP --policy linear-deterministic --restarts 1 --generations 40"),
    ceiling=_benchmark(-151.9, "TD3", "Pendulum-v1"),
    observation="cosine of the angle; sine of the angle (upright is 0)",
    action="torque from -2 to 2 N m, for 0.05 s",
    reward="-(angle² + 0.1 velocity² + 0.001 torque²) at every step, in rad and rad/s",
    note=(
        "Gymnasium names no threshold; -200 is ours: a swing-up from any start with little waste. The published "
        "recurrent PPO (one run, 100k steps) is at -217.9."
    ),
)

_MOUNTAIN_CAR = Task(
    id="MountainCar-POMDP-v0",
    base_id="MountainCar-v0",
    wrappers=(MaskObservation.wrapper_spec(hidden=(1,)),),
    max_episode_steps=200,
    reward_threshold=-110.0,
    random=_measured(-200.0, 0.0, "MountainCar-POMDP"),
    floor=_measured(-200.0, 0.0, "MountainCar-POMDP --restarts 1 --generations 20 --episodes 4"),
    ceiling=_benchmark(-100.8, "DQN", "MountainCar-v0"),
    observation="position of the car in m",
    action="0, 1 or 2: accelerate to the left, not at all, to the right",
    reward="-1 for every step until the car is at 0.5 m",
)

_MOUNTAIN_CAR_CONTINUOUS = Task(
    id="MountainCarContinuous-POMDP-v0",
    base_id="MountainCarContinuous-v0",
    wrappers=(MaskObservation.wrapper_spec(hidden=(1,)),),
    max_episode_steps=999,
    reward_threshold=90.0,
    random=_measured(-33.25, 0.06, "MountainCarContinuous-POMDP"),
    floor=_measured(
        0.0,
        0.0,
        "MountainCarContinuous-POMDP --policy linear-deterministic --restarts 1 --generations 20 "
        "--population 24 --episodes 4",
    ),
    ceiling=_benchmark(96.7, "ARS", "MountainCarContinuous-v0"),
    observation="position of the car in m",
    action="force from -1 to 1, without unit",
    reward="100 at 0.45 m, -0.1 force² at every step",
    note=(
        "The floor of 0 is doing nothing: a force that depends on the position alone is conservative and cannot "
        "pump the car up the hill."
    ),
)

_ACROBOT = Task(
    id="Acrobot-POMDP-v0",
    base_id="Acrobot-v1",
    wrappers=(MaskObservation.wrapper_spec(hidden=(4, 5)),),
    max_episode_steps=500,
    reward_threshold=-100.0,
    random=_measured(-499.97, 0.03, "Acrobot-POMDP"),
    floor=_measured(
        -179.06,
        3.89,
        "Acrobot-POMDP --policy tanh-deterministic --restarts 1 --generations 20 --population 24 --episodes 4",
    ),
    ceiling=_benchmark(-69.1, "QR-DQN", "Acrobot-v1"),
    observation="cosine of angle 1; sine of angle 1; cosine of angle 2; sine of angle 2 (hanging down is 0)",
    action="0, 1 or 2: torque of -1, 0 or 1 N m on the joint between the links, for 0.2 s",
    reward="-1 for every step until the tip is one link above the fixed joint",
    note="A weak test of memory: a memoryless network goes three quarters of the way from random play to the ceiling.",
)

_LUNAR_LANDER = Task(
    id="LunarLander-POMDP-v0",
    base_id="LunarLander-v3",
    wrappers=(MaskObservation.wrapper_spec(hidden=(2, 3, 5)),),
    max_episode_steps=1000,
    reward_threshold=200.0,
    random=_measured(-185.96, 6.28, "LunarLander-POMDP"),
    floor=_measured(
        -49.3, 4.91, "LunarLander-POMDP --policy tanh-stochastic --restarts 1 --generations 30 --episodes 6"
    ),
    ceiling=_benchmark(242.1, "PPO", "LunarLander-v2"),
    observation=(
        "horizontal distance from the pad in half widths of the view; height above it in half heights of the view; "
        "angle in rad; 1 while the left leg touches the ground, else 0; the same for the right leg"
    ),
    action="0 to 3: no engine, left engine, main engine, right engine, for 0.02 s",
    reward=(
        "for coming nearer, slower and more upright, 10 for each leg on the ground, -0.3 for a step of the main and "
        "-0.03 of a side engine, 100 for landing, -100 for a crash"
    ),
    extra="envs",
)

TASKS: dict[str, Task] = {
    task.id: task for task in (_CARTPOLE, _PENDULUM, _MOUNTAIN_CAR, _MOUNTAIN_CAR_CONTINUOUS, _ACROBOT, _LUNAR_LANDER)
}
"""Every task by its id."""


def register_tasks() -> None:
    """Registers every task of the table with Gymnasium; does nothing where that has happened already."""
    for task in TASKS.values():
        spec = _spec(task)
        if gym.registry.get(task.id) != spec:
            gym.register(
                spec.id,
                spec.entry_point,
                reward_threshold=spec.reward_threshold,
                max_episode_steps=spec.max_episode_steps,
                additional_wrappers=spec.additional_wrappers,
                kwargs=spec.kwargs,
            )


def _spec(task: Task) -> EnvSpec:
    base = gym.spec(task.base_id)
    # The wrappers are part of the spec (Gymnasium puts them around the time limit), so spec.make() rebuilds the task.
    return EnvSpec(
        task.id,
        _entry_point(task, base),
        reward_threshold=task.reward_threshold,
        max_episode_steps=task.max_episode_steps,
        additional_wrappers=task.wrappers,
        kwargs=dict(base.kwargs),
    )


def _entry_point(task: Task, base: EnvSpec) -> str:
    """The base's own class, or its stand-in in ``optional.py`` where the base may not be installed."""
    own = str(base.entry_point)
    return own if task.extra is None else f"rl_larnn.envs.optional:{own.rpartition(':')[2]}"
