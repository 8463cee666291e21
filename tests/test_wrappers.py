"""The wrappers: laws over random spaces and orders, what each parameter does, what each error says."""

from itertools import permutations
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.utils.env_checker import data_equivalence
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_larnn import envs
from rl_larnn.envs import (
    FirstStepFlag,
    FlickerObservation,
    FreezeObservation,
    MaskObservation,
    NoisyObservation,
    ObjectsInView,
    PreviousAction,
    ReturnToGo,
    SelectActions,
    StatePart,
    StepNumber,
    VectorObservation,
)
from rl_larnn.envs.spaces import has_float_box, is_vector


class Sampler(gym.Env):
    """Observations and nothing else: samples of a space, fixed by the seed; bounded Boxes hit their bounds."""

    def __init__(self, observation_space: gym.Space, action_space: gym.Space | None = None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}


VECTOR = spaces.Box(-2.0, 5.0, (4,), np.float32)
PLAIN_SPACES = [
    VECTOR,
    spaces.Box(np.array([0.5, -np.inf]), np.array([1.5, np.inf]), dtype=np.float64),
    spaces.Box(-(2**31), 2**31 - 1, (2,), np.int32),
    spaces.Box(1, 255, (3, 8, 8), np.uint8),
    spaces.Discrete(3),
    spaces.MultiDiscrete([2, 5]),
    spaces.MultiBinary(3),
]
SPACES = [*PLAIN_SPACES, spaces.Dict({"image": PLAIN_SPACES[3], "speed": PLAIN_SPACES[1], "mode": spaces.Discrete(2)})]
ACTIONS = [
    spaces.Discrete(3),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 4]),
    spaces.MultiBinary(3),
    spaces.Box(-2.0, 6.0, (2, 2), np.float32),
    spaces.Box(np.array([-np.inf, 0.0, 2.0]), np.array([np.inf, 1.0, np.inf]), dtype=np.float64),
    spaces.Box(3, 9, (1,), np.int64),
]
WRAPPERS = {
    "flicker": lambda env: FlickerObservation(env, 0.5),
    "noise": lambda env: NoisyObservation(env, 0.1),
    "previous action": PreviousAction,
    "first step": FirstStepFlag,
}
MORE_WRAPPERS = {
    **WRAPPERS,
    "freeze": lambda env: FreezeObservation(env, 0.5, 1, 3),
    "vector": VectorObservation,
    "return to go": lambda env: ReturnToGo(env, 5.5),
    "step number": lambda env: StepNumber(env, 4),
}
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


def trajectory(env: gym.Env, seed: int, length: int = 6) -> list[Any]:
    """Observations of one reset and ``length`` random actions, all fixed by ``seed``."""
    env.action_space.seed(seed)
    observations = [env.reset(seed=seed)[0]]
    return observations + [env.step(env.action_space.sample())[0] for _ in range(length)]


@settings(deadline=None, max_examples=60)
@given(
    space=st.sampled_from(SPACES),
    actions=st.sampled_from(ACTIONS),
    names=st.lists(st.sampled_from(sorted(MORE_WRAPPERS)), unique=True, min_size=1),
    seed=st.integers(0, 2**31 - 1),
)
def test_any_order_keeps_the_promises_of_its_space_and_repeats_from_a_seed(space, actions, names, seed) -> None:
    env: gym.Env = Sampler(space, actions)
    for name in names:
        try:
            env = MORE_WRAPPERS[name](env)
        except TypeError as error:
            assert name == "noise" and "Box of floats" in str(error)
    first, second = trajectory(env, seed), trajectory(env, seed)
    assert all(observation in env.observation_space for observation in first)
    assert data_equivalence(first, second, exact=True)


@pytest.mark.parametrize("order", list(permutations(["mask", *WRAPPERS])), ids=" ".join)
def test_all_five_on_a_vector_in_any_order(order: tuple[str, ...]) -> None:
    env: gym.Env = Sampler(VECTOR)
    for name in order:
        env = MaskObservation(env, hidden=(1, 3)) if name == "mask" else WRAPPERS[name](env)
    assert env.observation_space.dtype == np.float32
    # 4 values, 2 actions one-hot and 1 flag, less the 2 that are hidden
    assert all(observation.shape == (5,) and observation in env.observation_space for observation in trajectory(env, 0))


def test_wrapped_environment_is_described_by_its_spec() -> None:
    env = gym.make("CartPole-v1")
    for wrap in WRAPPERS.values():
        env = wrap(env)
    env = MaskObservation(env, hidden=(1, 3))
    rebuilt = gym.make(type(env.spec).from_json(env.spec.to_json()))
    assert data_equivalence(trajectory(env, 5), trajectory(rebuilt, 5), exact=True)


# --- mask -------------------------------------------------------------------------------------------------------------


@given(hidden=st.lists(st.integers(0, 3), unique=True, max_size=3), seed=st.integers(0, 100))
def test_mask_removes_exactly_the_hidden(hidden: list[int], seed: int) -> None:
    masked, full = trajectory(MaskObservation(Sampler(VECTOR), hidden), seed), trajectory(Sampler(VECTOR), seed)
    for short, long in zip(masked, full, strict=True):
        np.testing.assert_array_equal(short, [value for i, value in enumerate(long) if i not in hidden])


@pytest.mark.parametrize(
    "hidden, message",
    [
        ((1, 4), r"cannot hide index 4: the valid indices are 0 to 3"),
        ((-1,), r"cannot hide index -1: the valid indices are 0 to 3"),
        ((2, 0, 2), r"each index once, got \(2, 0, 2\); use \(0, 2\)"),
        ((0, 1, 2, 3), r"hide all 4 values; leave at least one"),
    ],
)
def test_mask_errors(hidden: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskObservation(Sampler(VECTOR), hidden)


@pytest.mark.parametrize("space", [space for space in SPACES if not is_vector(space)], ids=str)
def test_mask_wants_a_vector(space: gym.Space) -> None:
    with pytest.raises(TypeError, match=r"expected a Box vector observation, got .*FlattenObservation"):
        MaskObservation(Sampler(space), (0,))


# --- noise ------------------------------------------------------------------------------------------------------------


def test_noise_has_the_mean_and_spread_asked_for() -> None:
    still = spaces.Box(3.0, 3.0, (1000,), np.float32)
    noise = np.concatenate(trajectory(NoisyObservation(Sampler(still), std=0.5), seed=0, length=20)) - 3
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 0.5) < 0.02


def test_noise_is_fresh_at_every_step_and_at_reset() -> None:
    still = spaces.Box(3.0, 3.0, (1,), np.float32)
    values = [float(observation[0]) for observation in trajectory(NoisyObservation(Sampler(still), 1.0), 0, 20)]
    assert len(set(values)) == len(values) and 3.0 not in values


def test_noise_of_zero_changes_nothing() -> None:
    assert data_equivalence(trajectory(NoisyObservation(Sampler(VECTOR), 0.0), 1), trajectory(Sampler(VECTOR), 1))


def test_noise_in_a_dict_reaches_the_floats_only() -> None:
    noisy, plain = trajectory(NoisyObservation(Sampler(SPACES[-1]), 1.0), 1), trajectory(Sampler(SPACES[-1]), 1)
    for ours, original in zip(noisy, plain, strict=True):
        assert ours["mode"] == original["mode"] and (ours["image"] == original["image"]).all()
        assert (ours["speed"] != original["speed"]).all()


@pytest.mark.parametrize("space", [space for space in SPACES if not has_float_box(space)], ids=str)
def test_noise_needs_floats(space: gym.Space) -> None:
    with pytest.raises(TypeError, match="expected a Box of floats or a Dict with one, got"):
        NoisyObservation(Sampler(space), 0.1)


@pytest.mark.parametrize("std", [-0.1, np.inf, np.nan])
def test_noise_wants_a_sensible_std(std: float) -> None:
    with pytest.raises(ValueError, match="expected a finite std of at least 0, got"):
        NoisyObservation(Sampler(VECTOR), std)


# --- flicker ----------------------------------------------------------------------------------------------------------


@every_space
def test_flicker_blanks_all_or_nothing_as_often_as_asked(space: gym.Space) -> None:
    env = Sampler(spaces.Dict({"marker": spaces.Box(1.0, 1.0, (2,), np.float32), "rest": space}))
    seen = trajectory(FlickerObservation(env, 0.3), seed=0, length=1000)
    blank = [observation for observation in seen if not observation["marker"].any()]
    assert 0.25 < len(blank) / len(seen) < 0.35
    assert all(not np.any(value) for observation in blank for value in _leaves(observation["rest"]))


def _leaves(observation: Any) -> list[Any]:
    return list(observation.values()) if isinstance(observation, dict) else [observation]


@pytest.mark.parametrize("probability, blank", [(0.0, False), (1.0, True)])
def test_flicker_at_its_limits_and_at_reset(probability: float, blank: bool) -> None:
    still = spaces.Box(3.0, 3.0, (1,), np.float32)
    seen = trajectory(FlickerObservation(Sampler(still), probability), 0)
    assert all(observation[0] == (0 if blank else 3) for observation in seen)


@pytest.mark.parametrize("probability", [-0.1, 1.1, np.nan])
def test_flicker_wants_a_probability(probability: float) -> None:
    with pytest.raises(ValueError, match="expected a probability from 0 to 1, got"):
        FlickerObservation(Sampler(VECTOR), probability)


@pytest.mark.parametrize("space", [spaces.Discrete(3, start=1), spaces.Text(5)], ids=str)
def test_flicker_needs_a_zero(space: gym.Space) -> None:
    with pytest.raises(TypeError, match=r"cannot blank .*: it has no zero"):
        FlickerObservation(Sampler(space), 0.5)


# --- previous action --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "actions, action, expected",
    [
        (ACTIONS[0], 2, [0, 0, 1]),
        (ACTIONS[1], -1, [1, 0, 0]),
        (ACTIONS[2], [1, 2], [0, 1, 0, 0, 1, 0]),
        (ACTIONS[3], [1, 0, 1], [1, 0, 1]),
        (ACTIONS[4], [[-2.0, 0.0], [2.0, 6.0]], [-1, -0.5, 0, 1]),  # scaled
        (ACTIONS[4], [[-9.0, 0.0], [2.0, 9.0]], [-1, -0.5, 0, 1]),  # clipped
        (ACTIONS[5], [-7.5, 0.25, 3.0], [-7.5, -0.5, 3.0]),  # raw where there are no bounds
        (ACTIONS[6], [9], [1]),
    ],
)
def test_previous_action_by_hand(actions: gym.Space, action: Any, expected: list[float]) -> None:
    env = PreviousAction(Sampler(spaces.Discrete(2), actions))
    first = env.reset(seed=0)[0]["previous_action"]
    after = env.step(np.array(action))[0]["previous_action"]
    again = env.reset()[0]["previous_action"]
    np.testing.assert_allclose(after, expected)
    assert not first.any() and not again.any() and first.shape == after.shape and after.dtype == np.float32


@every_space
@pytest.mark.parametrize(
    "wrapper, key, size", [(PreviousAction, "previous_action", 2), (FirstStepFlag, "first_step", 1)]
)
def test_cues_leave_the_observation_as_it_is(space: gym.Space, wrapper: Any, key: str, size: int) -> None:
    plain, cued = trajectory(Sampler(space), 4), trajectory(wrapper(Sampler(space)), 4)
    for original, seen in zip(plain, cued, strict=True):
        if is_vector(space):
            assert seen.dtype == np.float32 and seen.shape == (len(original) + size,)
            np.testing.assert_array_equal(seen[:-size], original.astype(np.float32))
        else:
            cue = seen.pop(key)
            assert cue.shape == (size,)
            assert data_equivalence(seen, original if isinstance(space, spaces.Dict) else {"observation": original})


@pytest.mark.parametrize("wrapper", [PreviousAction, FirstStepFlag])
def test_cue_twice_in_a_dict_is_refused(wrapper: Any) -> None:
    with pytest.raises(ValueError, match=r"already has a part named .*; apply the wrapper once"):
        wrapper(wrapper(Sampler(spaces.Discrete(2))))


def test_previous_action_needs_actions_of_fixed_size() -> None:
    with pytest.raises(TypeError, match="expected actions of fixed size"):
        PreviousAction(Sampler(VECTOR, spaces.Sequence(spaces.Discrete(2))))


# --- first step -------------------------------------------------------------------------------------------------------


def test_first_step_is_marked_at_every_reset_and_only_there() -> None:
    env = FirstStepFlag(Sampler(VECTOR))
    flags = [observation[-1] for observation in trajectory(env, 0, 3) + trajectory(env, 0, 2)]
    assert flags == [1, 0, 0, 0, 1, 0, 0]


# --- freeze -----------------------------------------------------------------------------------------------------------


class Counter(gym.Env):
    """Shows how many steps the episode has had."""

    observation_space = spaces.Box(0.0, np.inf, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        return np.full(1, self.steps, np.float32), float(self.steps), self.steps == 9, False, {}


def shown(env: gym.Env, length: int, seed: int = 0) -> list[int]:
    return [int(observation[0]) for observation in trajectory(env, seed, length)]


def test_freeze_by_hand() -> None:
    # Frozen for three steps, fresh for one, from the first step on; and never at a reset.
    env = FreezeObservation(Counter(), probability=1.0, shortest=3, longest=3)
    assert shown(env, 9) == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]
    assert shown(env, 2) == [0, 0, 0]


def test_freeze_leaves_rewards_and_endings_alone() -> None:
    env = FreezeObservation(Counter(), probability=1.0, shortest=50, longest=50)
    env.reset(seed=0)
    assert [env.step(0)[1:3] for _ in range(9)] == [(float(i), i == 9) for i in range(1, 10)]


def test_freeze_lengths_are_as_asked_for() -> None:
    seen = np.array(shown(FreezeObservation(Counter(), probability=0.2, shortest=2, longest=4), 4000))
    fresh = np.flatnonzero(seen == np.arange(len(seen)))
    frozen = np.diff(fresh) - 1
    counts = np.bincount(frozen, minlength=5)
    assert counts[1] == 0 and len(counts) == 5 and (counts[2:] > 100).all()
    # A freeze can begin at any fresh step but the first after a freeze: a chance of 0.2 for each of these.
    assert abs((frozen > 0)[1:][frozen[:-1] == 0].mean() - 0.2) < 0.03


def test_freeze_of_probability_zero_changes_nothing() -> None:
    assert shown(FreezeObservation(Counter(), 0.0, 1, 2), 8) == list(range(9))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((1.5, 1, 2), "expected a probability from 0 to 1, got 1.5"),
        ((0.5, 0, 2), "expected 1 <= shortest <= longest, got shortest 0 and longest 2"),
        ((0.5, 3, 2), "expected 1 <= shortest <= longest, got shortest 3 and longest 2"),
    ],
)
def test_freeze_errors(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FreezeObservation(Counter(), *arguments)


# --- form -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "space, value, expected",
    [
        (spaces.Discrete(3, start=2), 3, [0, 1, 0]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(2), np.array([1, 0]), [1, 0]),
        (spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3))), (0, 2), [1, 0, 0, 0, 1]),
        (spaces.Box(-9, 9, (2, 2), np.float64), np.array([[1.5, 2], [3, -4]]), [1.5, 2, 3, -4]),
    ],
    ids=str,
)
def test_vector_by_hand(space: gym.Space, value: Any, expected: list[float]) -> None:
    env = VectorObservation(Sampler(space))
    vector = env.observation(value)
    assert vector.dtype == np.float32 and vector in env.observation_space and env.observation_space.dtype == np.float32
    np.testing.assert_array_equal(vector, expected)


def test_vector_needs_a_fixed_size() -> None:
    with pytest.raises(TypeError, match="expected observations of fixed size"):
        VectorObservation(Sampler(spaces.Sequence(spaces.Discrete(2))))


def test_selected_actions_are_those_of_the_environment() -> None:
    env = SelectActions(Sampler(VECTOR, spaces.Discrete(4, start=3)), actions=(6, 3))
    assert env.action_space == spaces.Discrete(2) and [env.action(np.int64(i)) for i in range(2)] == [6, 3]


@pytest.mark.parametrize("actions", [(), (1, 1), (0, 4), (-1,)])
def test_actions_that_cannot_be_selected(actions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected different actions from 0 to 3, at least one, got"):
        SelectActions(Sampler(VECTOR, spaces.Discrete(4)), actions)
    with pytest.raises(TypeError, match="expected Discrete actions, got Box"):
        SelectActions(Sampler(VECTOR, VECTOR), actions)


VIEW = spaces.Dict({"image": spaces.Box(0, 255, (2, 1, 3), np.uint8), "mission": spaces.Text(5)})


def test_objects_in_view_by_hand() -> None:
    env = ObjectsInView(Sampler(VIEW), kinds=(1, 5, 6))
    image = np.array([[[6, 1, 0]], [[1, 0, 2]]], np.uint8)
    vector = env.observation({"image": image, "mission": "ab"})
    assert vector.tolist() == [0, 0, 1, 1, 0, 0] and vector in env.observation_space
    with pytest.raises(ValueError, match=r"expected the kinds \[1, 5, 6\], got \[1, 9\]"):
        env.observation({"image": np.where(image == 6, 9, image)})
    with pytest.raises(TypeError, match="expected MiniGrid's Dict with an image, got Box"):
        ObjectsInView(Sampler(VECTOR), kinds=(1,))


def test_state_part_by_hand() -> None:
    base = Sampler(spaces.Box(-9, 9, (6,), np.float64))
    with pytest.raises(TypeError, match="expected one of Gymnasium's MuJoCo environments"):
        StatePart(base, "qpos")
    base.observation_structure = {"skipped_qpos": 1, "qpos": 2, "qvel": 3, "cfrc_ext": 1, "ten_length": 0}
    value = np.arange(6.0)
    assert StatePart(base, "qpos").observation(value).tolist() == [0, 1]
    assert StatePart(base, "qvel").observation(value).tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match="expected one of qpos, qvel, cfrc_ext, got 'qacc'"):
        StatePart(base, "qacc")


@pytest.mark.parametrize(
    "name", ["conditioning:ReturnToGo", "corruption:MaskObservation", "cues:PreviousAction", "reshaping:StatePart"]
)
def test_specs_that_name_a_former_module_still_load(name: str) -> None:
    module, _, wrapper = name.partition(":")
    assert load_env_creator(f"rl_larnn.envs.{name}") is getattr(envs, wrapper)
    assert getattr(envs, wrapper).__module__ == f"rl_larnn.envs.wrappers.{module}"


def test_a_stored_spec_of_an_earlier_revision_makes_the_same_environment() -> None:
    stored = gym.spec("CartPole-POMDP-v0").to_json().replace("envs.wrappers.corruption", "envs.corruption")
    assert "rl_larnn.envs.corruption:MaskObservation" in stored
    assert gym.make(EnvSpec.from_json(stored)).observation_space.shape == (2,)
