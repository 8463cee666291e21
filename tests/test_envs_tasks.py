"""Laws over the table of tasks: each is a sound environment, hides what it says it hides, and is known everywhere."""

import importlib
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Iterable
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3.common.env_checker import check_env as sb3_check_env
from stable_baselines3.common.env_util import make_vec_env

import rl_larnn.envs
import rl_larnn.envs.optional
from rl_larnn.envs import TASKS, Task, make
from rl_larnn.envs.bounds.floor import random_score
from rl_larnn.envs.bounds.sources import Calculated, Cited, RandomPlay, Search
from rl_larnn.envs.tasks import masked_control

PACKAGES = {
    "LunarLander": "Box2D",
    "popgym": "popgym",
    "short_decks": "popgym",
    "minigrid": "minigrid",
    "-v5": "mujoco",
}
NO_BOX2D = importlib.util.find_spec("Box2D") is None


def _needs(task: Task) -> list[pytest.MarkDecorator]:
    """Skips the task where its package is missing."""
    if task.extra is None:
        return []
    (package,) = {package for part, package in PACKAGES.items() if part in task.base}
    return [pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")]


def tasks(rows: Iterable[Task]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("task", [pytest.param(task, id=task.id, marks=_needs(task)) for task in rows])


EVERY_TASK = tasks(TASKS.values())
EVERY_MASK = tasks(masked_control.TASKS)


def trajectory(env: gym.Env, seed: int, length: int = 40) -> list[tuple]:
    """What a reset and random actions, all fixed by ``seed``, return; a new episode where one ends."""
    env.action_space.seed(seed)
    seen: list[tuple] = [(env.reset(seed=seed)[0],)]
    for _ in range(length):
        observation, *rest, _ = env.step(env.action_space.sample())
        seen.append((observation, *rest))
        if any(rest[1:]):
            seen.append((env.reset()[0],))
    return seen


@EVERY_TASK
@pytest.mark.filterwarnings("ignore:.*is different from the unwrapped version")  # they are wrapped on purpose
@pytest.mark.filterwarnings("ignore:.*For Box action spaces, we recommend")  # the actions are those of the base
@pytest.mark.filterwarnings("ignore:.*A Box observation space (minimum|maximum) value is")  # velocities have no bounds
@pytest.mark.filterwarnings("ignore:.*share an object, therefore")  # popgym's infos
@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric and normalized Box action space")
def test_the_checkers_of_gymnasium_and_sb3_accept(task: Task) -> None:
    gymnasium_check_env(gym.make(task.id), skip_render_check=True)
    sb3_check_env(gym.make(task.id), skip_render_check=True)


@EVERY_TASK
def test_observations_are_float32_vectors_inside_their_space_and_fixed_by_a_seed(task: Task) -> None:
    env = make(task.id)
    assert isinstance(env.observation_space, gym.spaces.Box) and env.observation_space.dtype == np.float32
    first, second = trajectory(env, seed=2), trajectory(make(task.id), seed=2)
    for observation, *_ in first:
        assert observation.dtype == np.float32 and observation in env.observation_space
    assert data_equivalence(first, second, exact=True)
    assert any(not data_equivalence(first, trajectory(make(task.id), seed)) for seed in range(3, 9))


@EVERY_MASK
def test_hidden_values_are_gone_and_the_rest_is_the_base(task: Task) -> None:
    env, base = gym.make(task.id), gym.make(task.base)
    hidden = task.wrappers[0].kwargs["hidden"]
    np.testing.assert_array_equal(env.observation_space.low, np.delete(base.observation_space.low, hidden))
    np.testing.assert_array_equal(env.observation_space.high, np.delete(base.observation_space.high, hidden))
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


def test_what_is_hidden_are_the_velocities() -> None:
    """Indices of the velocities, from Gymnasium's documentation of each base environment."""
    velocities = {
        "CartPole-v1": (1, 3),
        "Pendulum-v1": (2,),
        "MountainCar-v0": (1,),
        "MountainCarContinuous-v0": (1,),
        "Acrobot-v1": (4, 5),
        "LunarLander-v3": (2, 3, 5),
        "LunarLanderContinuous-v3": (2, 3, 5),
    }
    assert {task.base: task.wrappers[0].kwargs["hidden"] for task in masked_control.TASKS} == velocities


@EVERY_TASK
def test_spec_and_texts_describe_the_task(task: Task) -> None:
    # ``make`` and a name are what a worker process is sent.
    env = pickle.loads(pickle.dumps(partial(make, task.short_id)))()
    spec, own_limit = gym.spec(task.id), ":" in task.base
    assert env.spec.id == task.id and env.spec.reward_threshold == spec.reward_threshold == task.reward_threshold
    assert spec.max_episode_steps == (None if own_limit else task.max_episode_steps)
    if not own_limit:
        assert env.get_wrapper_attr("_max_episode_steps") == task.max_episode_steps
        assert gym.spec(task.base).max_episode_steps == task.max_episode_steps
    rebuilt = gym.make(type(spec).from_json(env.spec.to_json()))
    assert rebuilt.observation_space == env.observation_space
    assert task.observation and task.action and task.reward
    size = env.observation_space.shape[0]
    if task.id.startswith("MiniGrid"):
        size //= 7 * 7  # one text for all cells of the view
    assert task.observation.count(";") + 1 == size, f"{size} observed values, separated by semicolons"


@tasks(task for task in TASKS.values() if ":" in task.base)
def test_episodes_that_end_by_themselves_keep_to_the_limit(task: Task) -> None:
    env = make(task.id)
    env.action_space.seed(0)
    env.reset(seed=0)
    lengths, length = [], 0
    while len(lengths) < 2:
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        length += 1
        if terminated or truncated:
            lengths, length = [*lengths, length], 0
            env.reset()
    assert max(lengths) <= task.max_episode_steps
    fixed = task.id.startswith(("TMaze", "Repeat", "Autoencode", "CountRecall", "HigherLower", "NoisyPositionOnlyPend"))
    assert not fixed or set(lengths) == {task.max_episode_steps}


def test_reference_scores_are_in_order() -> None:
    for task in TASKS.values():
        random, floor, ceiling = task.random.value, task.floor.value, task.ceiling.value
        assert random <= floor <= ceiling and task.reward_threshold <= ceiling, task.id
        if task.needs_memory:
            assert floor < task.reward_threshold and ceiling - floor > 0.2 * (ceiling - random), task.id
        else:
            assert ceiling - floor < 0.15 * (ceiling - random), task.id


def test_every_score_says_where_it_comes_from() -> None:
    for task in TASKS.values():
        for bound in (task.random, task.floor, task.ceiling):
            sampled = isinstance(bound.source, RandomPlay | Search)
            assert str(bound.source) and (bound.standard_error is not None) == sampled, task.id
        assert isinstance(task.random.source, RandomPlay | Calculated), task.id
        assert not isinstance(task.floor.source, Cited | RandomPlay), task.id


# Those with short episodes; the script measures all of them, with more episodes.
PLAYED = [task for task in TASKS.values() if task.max_episode_steps <= 260]


@tasks(PLAYED)
def test_random_play_scores_what_the_table_says(task: Task) -> None:
    score = random_score(task.id, episodes=max(10, 2500 // task.max_episode_steps), seed=5)
    error = np.hypot(score.standard_error, task.random.standard_error or 0.0)
    assert abs(score.mean - task.random.value) <= 4 * error + 1e-3


# CartPole has a vectorised class of Gymnasium's beside its own, which a masked task must not use.
@pytest.mark.parametrize("task_id", ["CartPole-POMDP-v0", "Pendulum-POMDP-v0"])
def test_vector_environments(task_id: str) -> None:
    for mode in ("sync", None):
        envs = gym.make_vec(task_id, num_envs=2, vectorization_mode=mode)
        observations, _ = envs.reset(seed=0)
        assert observations.shape == (2, 2)
        envs.step(envs.action_space.sample())
        envs.close()
    ours = make_vec_env(task_id, n_envs=2, seed=0)
    assert ours.reset().shape == (2, 2)
    ours.close()


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


@pytest.mark.parametrize(
    "package, task_id, name",
    [
        ("Box2D", "LunarLander-POMDP-v0", "LunarLander"),
        ("mujoco", "Hopper-P-v0", "HopperEnv"),
        ("minigrid", "MiniGridMemory-S7-v0", "MemoryEnv"),
        ("popgym", "RepeatFirstEasy-v0", "RepeatFirstEasy"),
        ("popgym", "Autoencode-8-v0", "ShortAutoencode"),
    ],
)
def test_missing_package_is_one_line_that_says_what_to_install(
    package: str, task_id: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)  # makes the import fail
    with pytest.raises(DependencyNotInstalled) as caught:
        gym.make(task_id)
    assert str(caught.value) == f"{name} needs {package}: pip install 'rl-larnn[envs]'"


def test_unknown_name_in_the_optional_module() -> None:
    with pytest.raises(AttributeError, match=r"module 'rl_larnn.envs.optional' has no attribute 'nothing.Such'"):
        getattr(rl_larnn.envs.optional, "nothing.Such")


def test_registration_imports_no_optional_package() -> None:
    code = "import rl_larnn.envs, sys; print({'popgym', 'minigrid', 'mujoco', 'Box2D', 'torch'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.skipif(NO_BOX2D, reason="Box2D is not installed")
def test_lazily_loaded_base_can_still_be_drawn() -> None:
    env = gym.make("LunarLander-POMDP-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().ndim == 3
    env.close()
