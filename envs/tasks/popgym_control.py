"""Control tasks of popgym, with its own classes: CartPole and Pendulum with hidden values and with noise.

The previous action and a flag on the first step are shown, as in popgym's own experiments. The previous action is a
memory of one step, also for memoryless policies; the floors are measured with it.

Source: Morad et al., POPGym: Benchmarking Partially Observable Reinforcement Learning, ICLR 2023.
"""

from typing import Any

from rl_larnn.envs.bounds.sources import Cited, Known, RandomPlay, Search, SearchSettings
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import FirstStepFlag, PreviousAction, VectorObservation

_CUES = (VectorObservation.wrapper_spec(), PreviousAction.wrapper_spec(), FirstStepFlag.wrapper_spec())
_UPRIGHT = Bound(1.0, Known("upright for the whole episode, as everything visible allows"))
_FLAG = "1 at the first step, else 0"
_PUSHES = f"last action, one-hot (zeros at the first step): left; right; {_FLAG}"
_SETTINGS = SearchSettings(restarts=1, generations=20, population=24, episodes=6, evaluation_episodes=200)
_SEARCH = Search(_SETTINGS, ("linear-stochastic",))
_NOISY_SEARCH = Search(_SETTINGS, ("linear-deterministic",))
_PENDULUM_SEARCH = Search(
    SearchSettings(restarts=1, generations=12, population=14, elite=4, episodes=5, evaluation_episodes=60),
    ("linear-deterministic",),
)
_LINEAR_SEARCH = Search(
    SearchSettings(restarts=1, generations=12, population=32, episodes=4, evaluation_episodes=100),
    ("linear-deterministic",),
)
# Each step is worth (1 + r / 8.1368) / 200, where r is Gymnasium's reward; TD3 has -151.855 of these in 200 steps.
_SWUNG_UP = Bound(
    0.9067,
    Cited(
        "benchmark.md of rl-baselines3-zoo: TD3 on Pendulum-v1, everything visible and no noise, one run, -151.855; "
        "on popgym's scale 1 - 151.855 / 1627.36"
    ),
)


def _cartpole(name: str, steps: int, observation: str, random: Bound, floor: Bound, **row: Any) -> Task:
    module = name.removesuffix("Easy").removesuffix("Medium").removesuffix("Hard")
    defaults: dict[str, Any] = {"reward_threshold": 0.9, "ceiling": _UPRIGHT}
    return Task(
        id=f"{name}-v0",
        base=f"popgym.envs.{_MODULES[module]}:{name}",
        wrappers=_CUES,
        max_episode_steps=steps,
        random=random,
        floor=floor,
        observation=f"{observation}; {_PUSHES}",
        action="0 or 1: push the cart to the left or right with 10 N for 0.02 s",
        reward=f"1/{steps} for every step until the pole leaves ±12 degrees or the cart ±2.4 m",
        extra="envs",
        **{**defaults, **row},
    )


_MODULES = {
    "PositionOnlyCartPole": "position_only_cartpole",
    "VelocityOnlyCartPole": "velocity_only_cartpole",
    "NoisyPositionOnlyCartPole": "noisy_position_only_cartpole",
}
_POSITIONS = "cart position in m; pole angle in rad"
_NOISY = "The noise is Gaussian with standard deviation {} in both numbers, in m and rad; the pole falls at 0.21 rad."


def _noisy_pendulum(level: str, std: float, steps: int, random: Bound, floor: Bound) -> Task:
    return Task(
        id=f"NoisyPositionOnlyPendulum{level}-v0",
        base=f"popgym.envs.noisy_position_only_pendulum:NoisyPositionOnlyPendulum{level}",
        wrappers=_CUES,
        max_episode_steps=steps,
        reward_threshold=0.75,
        random=random,
        floor=floor,
        ceiling=_SWUNG_UP,
        observation=f"cosine and sine of the angle (upright is 0), noisy: cosine; sine; last torque / 2 N m; {_FLAG}",
        action="torque from -2 to 2 N m, for 0.05 s",
        reward=f"(1 - (angle² + 0.1 velocity² + 0.001 torque²) / 8.137) / {steps} at every step, in rad and rad/s",
        note=(
            f"The noise is Gaussian with standard deviation {std} in both numbers, which are clipped to ±1. The floor "
            "is of a short search over linear policies: a memoryless network may be above it."
        ),
        extra="envs",
    )


_RANDOM = Bound(0.1155, RandomPlay(), 0.0031)

TASKS = (
    _cartpole("PositionOnlyCartPoleEasy", 200, _POSITIONS, _RANDOM, Bound(0.6708, _SEARCH, 0.0171)),
    _cartpole(
        "PositionOnlyCartPoleHard",
        600,
        _POSITIONS,
        Bound(0.0385, RandomPlay(), 0.001),
        Bound(0.2494, _SEARCH, 0.009),
    ),
    _cartpole(
        "VelocityOnlyCartPoleEasy",
        200,
        "cart velocity in m/s; pole angular velocity in rad/s",
        _RANDOM,
        Bound(1.0, _LINEAR_SEARCH, 0.0),
        note=(
            "A control: a linear policy without memory solves it. The first observation of an episode holds the "
            "position and the angle in place of the velocities, as popgym has it."
        ),
        needs_memory=False,
    ),
    _cartpole(
        "NoisyPositionOnlyCartPoleEasy",
        200,
        f"{_POSITIONS}, both noisy",
        _RANDOM,
        Bound(0.4373, _NOISY_SEARCH, 0.0173),
        note=_NOISY.format(0.1),
        reward_threshold=0.75,
    ),
    _cartpole(
        "NoisyPositionOnlyCartPoleMedium",
        200,
        f"{_POSITIONS}, both noisy",
        _RANDOM,
        Bound(0.245, _NOISY_SEARCH, 0.0088),
        note=_NOISY.format(0.2),
        reward_threshold=0.6,
    ),
    _noisy_pendulum(
        "Easy", 0.1, 200, Bound(0.2627, RandomPlay(episodes=100), 0.0171), Bound(0.2866, _PENDULUM_SEARCH, 0.0192)
    ),
    _noisy_pendulum(
        "Medium", 0.2, 200, Bound(0.2627, RandomPlay(episodes=100), 0.0171), Bound(0.3279, _PENDULUM_SEARCH, 0.0183)
    ),
)
