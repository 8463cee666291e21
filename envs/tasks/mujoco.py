"""MuJoCo locomotion with only the positions (``-P``) or only the velocities (``-V``) visible.

Source of the two forms: Ni, Eysenbach and Salakhutdinov, Recurrent Model-Free RL Can Be a Strong Baseline for Many
POMDPs, ICML 2022 (there on PyBullet's bodies).
"""

from dataclasses import dataclass

from rl_larnn.envs.bounds.sources import RandomPlay, Search, SearchSettings, zoo_benchmark
from rl_larnn.envs.task import Bound, Task
from rl_larnn.envs.wrappers import StatePart


@dataclass(frozen=True)
class _Body:
    """What the two tasks of a body share. Joints are in the order of the observation, ``motors`` of the action."""

    name: str
    root_positions: tuple[str, ...]
    root_velocities: tuple[str, ...]
    joints: tuple[str, ...]
    motors: tuple[str, ...]
    reward: str
    random: Bound
    ceiling: Bound


def _task(body: _Body, letter: str, floor: float, error: float, settings: SearchSettings, threshold: float) -> Task:
    positions = [*body.root_positions, *(f"angle of the {joint} in rad" for joint in body.joints)]
    velocities = [*body.root_velocities, *(f"angular velocity of the {joint} in rad/s" for joint in body.joints)]
    return Task(
        id=f"{body.name}-{letter}-v0",
        base=f"{body.name}-v5",
        wrappers=(StatePart.wrapper_spec(part={"P": "qpos", "V": "qvel"}[letter]),),
        max_episode_steps=1000,
        reward_threshold=threshold,
        random=body.random,
        floor=Bound(floor, Search(settings, ("linear-deterministic",)), error),
        ceiling=body.ceiling,
        observation="; ".join(positions if letter == "P" else velocities),
        action=f"torque on each joint, -1 to 1 of the strongest: {', '.join(body.motors)}",
        reward=body.reward,
        note=(
            "The floor is of a short search over linear policies: a memoryless network may be well above it. The "
            "ceiling was measured on version 3 of the body. The threshold is ours."
        ),
        extra="envs",
    )


_TORSO_POSITIONS = ("height of the torso in m", "angle of the torso in rad")
_TORSO_VELOCITIES = (
    "forward velocity of the torso in m/s",
    "upward velocity of the torso in m/s",
    "angular velocity of the torso in rad/s",
)
_LEG = ("thigh", "leg", "foot")
_LEGS = (*_LEG, *(f"left {part}" for part in _LEG))
_CHEETAH = tuple(f"{side} {part}" for side in ("back", "front") for part in ("thigh", "shin", "foot"))
_ANT_LEGS = ("front left", "front right", "back left", "back right")
_ANT_MOTORS = ("back right", "front left", "front right", "back left")

_HOPPER_BODY = _Body(
    "Hopper",
    _TORSO_POSITIONS,
    _TORSO_VELOCITIES,
    _LEG,
    _LEG,
    "1 for every step upright, forward velocity in m/s, -0.001 times the squared actions; ends when it falls",
    Bound(15.11, RandomPlay(episodes=60), 1.25),
    Bound(3754.2, zoo_benchmark("TQC", "Hopper-v3")),
)
_WALKER_BODY = _Body(
    "Walker2d",
    _TORSO_POSITIONS,
    _TORSO_VELOCITIES,
    _LEGS,
    _LEGS,
    "1 for every step upright, forward velocity in m/s, -0.001 times the squared actions; ends when it falls",
    Bound(1.02, RandomPlay(episodes=60), 0.97),
    Bound(4933.1, zoo_benchmark("TRPO", "Walker2d-v3")),
)
_CHEETAH_BODY = _Body(
    "HalfCheetah",
    _TORSO_POSITIONS,
    _TORSO_VELOCITIES,
    _CHEETAH,
    _CHEETAH,
    "forward velocity in m/s, -0.1 times the squared actions, at every step",
    Bound(-278.44, RandomPlay(episodes=12), 25.21),
    Bound(12089.9, zoo_benchmark("TQC", "HalfCheetah-v3")),
)
_ANT_BODY = _Body(
    "Ant",
    ("height of the torso in m", *(f"orientation of the torso, {part} of the quaternion" for part in "wxyz")),
    (
        *(f"velocity of the torso along {axis} in m/s" for axis in "xyz"),
        *(f"angular velocity of the torso about {axis} in rad/s" for axis in "xyz"),
    ),
    tuple(f"{leg} {joint}" for leg in _ANT_LEGS for joint in ("hip", "ankle")),
    tuple(f"{leg} {joint}" for leg in _ANT_MOTORS for joint in ("hip", "ankle")),
    "1 for every step upright, forward velocity in m/s, -0.5 times the squared actions, -0.0005 times the squared "
    "contact forces (clipped to ±1); ends when it falls or jumps too high",
    Bound(-53.84, RandomPlay(episodes=30), 18.2),
    Bound(5813.3, zoo_benchmark("TD3", "Ant-v3")),
)

_SHORT = SearchSettings(generations=5, population=10, elite=3, episodes=2, restarts=1, evaluation_episodes=20)
_SHORTER = SearchSettings(generations=4, population=8, elite=3, episodes=1, restarts=1, evaluation_episodes=6)

TASKS = (
    _task(_HOPPER_BODY, "P", 140.47, 5.14, _SHORT, 2000.0),
    _task(_HOPPER_BODY, "V", 369.59, 1.77, _SHORT, 2000.0),
    _task(_WALKER_BODY, "P", 99.29, 2.35, _SHORT, 2500.0),
    _task(_WALKER_BODY, "V", 96.68, 2.73, _SHORT, 2500.0),
    _task(_CHEETAH_BODY, "P", 84.31, 11.73, _SHORTER, 4800.0),
    _task(_CHEETAH_BODY, "V", 586.67, 64.18, _SHORTER, 4800.0),
    _task(_ANT_BODY, "P", 992.56, 2.5, _SHORTER, 3000.0),
    _task(_ANT_BODY, "V", 990.66, 2.29, _SHORTER, 3000.0),
)
