"""Laws over the table of tasks: each is a sound environment, hides what it says it hides, and is known everywhere."""

import importlib
import importlib.util
import subprocess
import sys
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.env_util import make_vec_env

import rl_larnn.envs
from rl_larnn.envs import TASKS, Task, make

NO_BOX2D = importlib.util.find_spec("Box2D") is None


def _needs(task: Task) -> list[pytest.MarkDecorator]:
    return [pytest.mark.skipif(NO_BOX2D, reason="Box2D is not installed")] if task.extra else []


EVERY_TASK = pytest.mark.parametrize(
    "task", [pytest.param(task, id=i, marks=_needs(task)) for i, task in TASKS.items()]
)


@EVERY_TASK
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")  # they are wrapped on purpose
@pytest.mark.filterwarnings("ignore:.*For Box action spaces, we recommend")  # the actions are those of the base
def test_gymnasium_checker_accepts(task: Task) -> None:
    gymnasium_check_env(gym.make(task.id), skip_render_check=True)


@EVERY_TASK
@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric and normalized Box action space")
def test_sb3_checker_accepts(task: Task) -> None:
    sb3_check_env(gym.make(task.id), skip_render_check=True)


@EVERY_TASK
def test_hidden_values_are_gone_and_the_rest_is_the_base(task: Task) -> None:
    env, base = gym.make(task.id), gym.make(task.base_id)
    hidden = task.wrappers[0].kwargs["hidden"]
    env.action_space.seed(3)
    seen, full = env.reset(seed=3)[0], base.reset(seed=3)[0]
    for _ in range(60):
        assert seen.dtype == np.float32 and len(seen) == len(full) - len(hidden)
        np.testing.assert_array_equal(seen, np.delete(full, hidden))
        action = env.action_space.sample()
        (seen, *ours, _), (full, *theirs, _) = env.step(action), base.step(action)
        assert ours == theirs
        if any(ours[1:]):
            seen, full = env.reset()[0], base.reset()[0]


@EVERY_TASK
def test_bounds_of_the_observation_are_those_of_the_base(task: Task) -> None:
    space, base = gym.make(task.id).observation_space, gym.make(task.base_id).observation_space
    hidden = task.wrappers[0].kwargs["hidden"]
    np.testing.assert_array_equal(space.low, np.delete(base.low, hidden))
    np.testing.assert_array_equal(space.high, np.delete(base.high, hidden))


def test_what_is_hidden_are_the_velocities() -> None:
    """Indices of the velocities, from Gymnasium's documentation of each base environment."""
    velocities = {
        "CartPole-v1": (1, 3),
        "Pendulum-v1": (2,),
        "MountainCar-v0": (1,),
        "MountainCarContinuous-v0": (1,),
        "Acrobot-v1": (4, 5),
        "LunarLander-v3": (2, 3, 5),
    }
    assert {task.base_id: task.wrappers[0].kwargs["hidden"] for task in TASKS.values()} == velocities


@EVERY_TASK
def test_spec_has_limit_and_threshold_and_rebuilds_the_task(task: Task) -> None:
    spec = gym.spec(task.id)
    assert spec.max_episode_steps == task.max_episode_steps
    assert spec.reward_threshold == task.reward_threshold
    rebuilt = gym.make(type(spec).from_json(gym.make(task.id).spec.to_json()))
    assert rebuilt.observation_space == gym.make(task.id).observation_space


@EVERY_TASK
def test_episodes_are_as_long_as_those_of_the_base(task: Task) -> None:
    assert gym.make(task.id).get_wrapper_attr("_max_episode_steps") == task.max_episode_steps
    assert gym.spec(task.base_id).max_episode_steps == task.max_episode_steps


@EVERY_TASK
def test_reference_scores_are_in_order(task: Task) -> None:
    assert task.random.value <= task.floor.value < task.ceiling.value
    assert task.floor.value < task.reward_threshold <= task.ceiling.value
    assert all(bound.source for bound in (task.random, task.floor, task.ceiling))


@EVERY_TASK
def test_texts_describe_every_value(task: Task) -> None:
    assert task.observation and task.action and task.reward
    size = gym.make(task.id).observation_space.shape[0]
    assert task.observation.count(";") + 1 == size, f"{size} observed values, separated by semicolons"


@EVERY_TASK
@pytest.mark.parametrize("mode", ["sync", None])
def test_vector_environments(task: Task, mode: str | None) -> None:
    envs = gym.make_vec(task.id, num_envs=2, vectorization_mode=mode)
    observations, _ = envs.reset(seed=0)
    assert observations.shape == (2, *gym.make(task.id).observation_space.shape)
    envs.step(envs.action_space.sample())
    envs.close()


@EVERY_TASK
def test_sb3_vector_environments(task: Task) -> None:
    envs = make_vec_env(task.id, n_envs=2, seed=0)
    assert envs.reset().shape == (2, *envs.observation_space.shape)
    envs.close()


def test_worker_processes_know_the_tasks() -> None:
    """Workers that start fresh have imported nothing of ours; ``make`` brings the registration with it."""
    envs = gym.vector.AsyncVectorEnv([partial(make, "CartPole-POMDP")], context="spawn")
    assert envs.reset()[0].shape == (1, 2)
    envs.close()


def test_module_form_works_in_a_process_that_imported_nothing() -> None:
    code = "import gymnasium; print(gymnasium.make('rl_larnn.envs:CartPole-POMDP-v0').observation_space.shape)"
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n")[0] == "(2,)" and not result.stderr


def test_reloading_registers_nothing_twice() -> None:
    before = {task_id: gym.spec(task_id) for task_id in TASKS}
    importlib.reload(rl_larnn.envs)  # a warning about an override would be an error here
    assert all(gym.spec(task_id) is spec for task_id, spec in before.items())


def test_missing_box2d_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith(("Box2D", "gymnasium.envs.box2d"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "Box2D", None)  # makes the import fail
    with pytest.raises(DependencyNotInstalled) as caught:
        gym.make("LunarLander-POMDP-v0")
    assert str(caught.value) == "LunarLander needs Box2D: pip install 'rl-larnn[envs]'"


@pytest.mark.skipif(NO_BOX2D, reason="Box2D is not installed")
def test_lazily_loaded_base_can_still_be_drawn() -> None:
    env = gym.make("LunarLander-POMDP-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().ndim == 3
    env.close()
