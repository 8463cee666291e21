"""MuJoCo tasks: what is visible are exactly the positions or exactly the velocities of the model."""

import gymnasium as gym
import numpy as np
import pytest

from rl_larnn.envs import TASKS, make
from rl_larnn.envs.tasks import mujoco

pytest.importorskip("mujoco")


@pytest.mark.parametrize("task_id", [task.id for task in mujoco.TASKS])
def test_what_is_seen_is_read_from_the_model(task_id: str) -> None:
    env = make(task_id)
    data, skipped = env.unwrapped.data, 2 if task_id.startswith("Ant") else 1
    clipped = task_id.startswith(("Hopper", "Walker2d"))  # Gymnasium clips the velocities of these two
    env.action_space.seed(0)
    observation = env.reset(seed=0)[0]
    for _ in range(15):
        velocities = np.clip(data.qvel, -10, 10) if clipped else data.qvel
        expected = data.qpos[skipped:] if "-P-" in task_id else velocities
        np.testing.assert_array_equal(observation, expected.astype(np.float32))
        observation, *_ = env.step(env.action_space.sample())


def test_both_halves_are_the_whole_state() -> None:
    """Together they show all positions but those along the ground, and all velocities."""
    for body in ("Hopper", "Walker2d", "HalfCheetah", "Ant"):
        model = gym.make(f"{body}-v5").unwrapped.model
        sizes = [make(f"{body}-{letter}").observation_space.shape[0] for letter in "PV"]
        assert sizes == [model.nq - (2 if body == "Ant" else 1), model.nv]


@pytest.mark.parametrize("task_id", [task.id for task in mujoco.TASKS])
def test_texts_name_the_joints_of_the_model_in_order(task_id: str) -> None:
    """The joint names of the XML files are short for ours, as bthigh for back thigh."""
    model, task = gym.make(TASKS[task_id].base).unwrapped.model, TASKS[task_id]
    hinges = [model.joint(i).name for i in range(model.njnt) if not model.joint(i).name.startswith("root")]
    texts = task.observation.split("; ")[-len(hinges) :]
    short = {"Ant": _ant, "HalfCheetah": _cheetah}.get(task_id.split("-")[0], _walker)
    assert [short(text.split(" of the ")[1].split(" in ")[0]) for text in texts] == hinges
    actuated = [model.joint(int(model.actuator(i).trnid[0])).name for i in range(model.nu)]
    assert [short(motor) for motor in task.action.split(": ")[1].split(", ")] == actuated


def _ant(text: str) -> str:
    leg, joint = text.rsplit(" ", 1)
    number = {"front left": 1, "front right": 2, "back left": 3, "back right": 4}[leg]
    return f"{joint}_{number}"


def _cheetah(text: str) -> str:
    side, part = text.split(" ")
    return side[0] + part


def _walker(text: str) -> str:
    left, part = text.startswith("left "), text.removeprefix("left ")
    return f"{part}_left_joint" if left else f"{part}_joint"
