"""Classic control with the velocities removed from the observation."""

from rl_larnn.envs.bounds.sources import Known, RandomPlay, Search, SearchSettings, zoo_benchmark
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import MaskObservation

_FOUR = ("linear-deterministic", "linear-stochastic", "tanh-deterministic", "tanh-stochastic")

_CARTPOLE = Task(
    id="CartPole-POMDP-v0",
    base="CartPole-v1",
    wrappers=(MaskObservation.wrapper_spec(hidden=(1, 3)),),
    max_episode_steps=500,
    reward_threshold=475.0,
    random=Bound(23.09, RandomPlay(), 0.61),
    floor=Bound(50.17, Search(families=_FOUR), 1.35),
    ceiling=Bound(500.0, Known("1 for each step of a whole episode")),
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
    base="Pendulum-v1",
    wrappers=(MaskObservation.wrapper_spec(hidden=(2,)),),
    max_episode_steps=200,
    reward_threshold=-200.0,
    random=Bound(-1223.49, RandomPlay(), 16.65),
    floor=Bound(-1042.02, Search(SearchSettings(restarts=1, generations=40), ("linear-deterministic",)), 19.8),
    ceiling=Bound(-151.9, zoo_benchmark("TD3", "Pendulum-v1")),
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
    base="MountainCar-v0",
    wrappers=(MaskObservation.wrapper_spec(hidden=(1,)),),
    max_episode_steps=200,
    reward_threshold=-110.0,
    random=Bound(-200.0, RandomPlay(), 0.0),
    floor=Bound(
        -200.0,
        Search(
            SearchSettings(restarts=1, generations=5, population=8, elite=3, episodes=2, evaluation_episodes=50), _FOUR
        ),
        0.0,
    ),
    ceiling=Bound(-100.8, zoo_benchmark("DQN", "MountainCar-v0")),
    observation="position of the car in m",
    action="0, 1 or 2: accelerate to the left, not at all, to the right",
    reward="-1 for every step until the car is at 0.5 m",
)

_MOUNTAIN_CAR_CONTINUOUS = Task(
    id="MountainCarContinuous-POMDP-v0",
    base="MountainCarContinuous-v0",
    wrappers=(MaskObservation.wrapper_spec(hidden=(1,)),),
    max_episode_steps=999,
    reward_threshold=90.0,
    random=Bound(-33.25, RandomPlay(), 0.06),
    floor=Bound(
        0.0,
        Search(SearchSettings(restarts=1, generations=20, population=24, episodes=4), ("linear-deterministic",)),
        0.0,
    ),
    ceiling=Bound(96.7, zoo_benchmark("ARS", "MountainCarContinuous-v0")),
    observation="position of the car in m",
    action="force from -1 to 1, without unit",
    reward="100 at 0.45 m, -0.1 force² at every step",
    note=(
        "The floor of 0 is doing nothing: a force that is fixed by the position alone is conservative and cannot pump "
        "the car up the hill. A random one may, but spends on its forces what the goal is worth."
    ),
)

_ACROBOT = Task(
    id="Acrobot-POMDP-v0",
    base="Acrobot-v1",
    wrappers=(MaskObservation.wrapper_spec(hidden=(4, 5)),),
    max_episode_steps=500,
    reward_threshold=-100.0,
    random=Bound(-499.97, RandomPlay(), 0.03),
    floor=Bound(
        -179.06,
        Search(SearchSettings(restarts=1, generations=20, population=24, episodes=4), ("tanh-deterministic",)),
        3.89,
    ),
    ceiling=Bound(-69.1, zoo_benchmark("QR-DQN", "Acrobot-v1")),
    observation="cosine of angle 1; sine of angle 1; cosine of angle 2; sine of angle 2 (hanging down is 0)",
    action="0, 1 or 2: torque of -1, 0 or 1 N m on the joint between the links, for 0.2 s",
    reward="-1 for every step until the tip is one link above the fixed joint",
    note="A weak test of memory: a memoryless network goes three quarters of the way from random play to the ceiling.",
)

_LANDER_SEEN = (
    "horizontal distance from the pad in half widths of the view; height above it in half heights of the view; "
    "angle in rad; 1 while the left leg touches the ground, else 0; the same for the right leg"
)

_LUNAR_LANDER = Task(
    id="LunarLander-POMDP-v0",
    base="LunarLander-v3",
    wrappers=(MaskObservation.wrapper_spec(hidden=(2, 3, 5)),),
    max_episode_steps=1000,
    reward_threshold=200.0,
    random=Bound(-185.96, RandomPlay(), 6.28),
    floor=Bound(-49.3, Search(SearchSettings(restarts=1, generations=30, episodes=6), ("tanh-stochastic",)), 4.91),
    ceiling=Bound(242.1, zoo_benchmark("PPO", "LunarLander-v2")),
    observation=_LANDER_SEEN,
    action="0 to 3: no engine, left engine, main engine, right engine, for 0.02 s",
    reward=(
        "for coming nearer, slower and more upright, 10 for each leg on the ground, -0.3 for a step of the main and "
        "-0.03 of a side engine, 100 for landing, -100 for a crash"
    ),
    extra="envs",
)

_LUNAR_LANDER_CONTINUOUS = Task(
    id="LunarLanderContinuous-POMDP-v0",
    base="LunarLanderContinuous-v3",
    wrappers=(MaskObservation.wrapper_spec(hidden=(2, 3, 5)),),
    max_episode_steps=1000,
    reward_threshold=200.0,
    random=Bound(-208.42, RandomPlay(), 7.25),
    floor=Bound(-17.51, Search(SearchSettings(restarts=1, generations=30, episodes=6)), 3.32),
    ceiling=Bound(278.0, zoo_benchmark("TQC", "LunarLanderContinuous-v2")),
    observation=_LANDER_SEEN,
    action=(
        "two numbers from -1 to 1, without unit, for 0.02 s: the main engine is off up to 0 and above runs at half to "
        "full power; a side engine runs at the size of the second, the left one below -0.5, the right one above 0.5"
    ),
    reward=(
        "for coming nearer, slower and more upright, 10 for each leg on the ground, for a step of the main engine -0.3 "
        "and of a side engine -0.03 times their power, 100 for landing, -100 for a crash"
    ),
    extra="envs",
)

TASKS = (
    _CARTPOLE,
    _PENDULUM,
    _MOUNTAIN_CAR,
    _MOUNTAIN_CAR_CONTINUOUS,
    _ACROBOT,
    _LUNAR_LANDER,
    _LUNAR_LANDER_CONTINUOUS,
)
