"""Laws of all wrappers, in any order and over random spaces; specs that name them."""

import gymnasium as gym
import numpy as np
import pytest
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
    PreviousAction,
    ReturnToGo,
    StepNumber,
    VectorObservation,
)
from tests.wrapper_cases import ACTIONS, SPACES, VECTOR, Sampler, trajectory

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


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(["mask", *WRAPPERS]))
def test_all_five_on_a_vector_in_any_order(order: list[str]) -> None:
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
