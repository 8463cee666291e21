"""The offline learner against plain loops: what it reads, what it minimises, what it carries, what a critic is told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.testing as npt
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from rl_larnn.agents import RecurrentPPO
from rl_larnn.agents.offline import OfflineLearner, OfflinePlan
from rl_larnn.agents.offline.observed import discounted_returns_to_go, fit_statistics, running_returns
from rl_larnn.agents.offline.plan import split_settings
from rl_larnn.agents.settings.environments import wrap_environment
from rl_larnn.agents.settings.recipes import Recipe
from rl_larnn.agents.settings.values import Linear
from rl_larnn.envs import make
from rl_larnn.envs.datasets import Amount, Behaviour, Dataset, collect, mixed_behaviour, scripted_behaviour
from rl_larnn.envs.datasets.columns import Columns
from rl_larnn.errors import UserError
from tests.dataset_cases import IMAGE, PUSHES, TORQUES, VECTOR, Replay, random_dataset

RECIPE = Recipe(previous_action=True, target_return=1.0, step_number=9)


def learner_of(dataset: Dataset, plan: OfflinePlan, memory: str = "gru", recipe: Recipe = RECIPE) -> OfflineLearner:
    env = VecNormalize(DummyVecEnv([lambda: wrap_environment(Replay(dataset), recipe)]))
    fit_statistics(env, dataset, recipe, 0.9)
    env.training = False
    policy = "MultiInputMemoryPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpMemoryPolicy"
    policy_kwargs = {"memory": memory, "memory_kwargs": {} if memory == "none" else {"hidden_size": 8}}
    model = RecurrentPPO(
        policy, env, n_steps=8, batch_size=8, seed=0, device="cpu", gamma=0.9, policy_kwargs=policy_kwargs
    )
    return OfflineLearner(model, dataset, recipe, plan, seed=1)


def plain_loss(learner: OfflineLearner, rows: np.ndarray, mask: np.ndarray) -> float:
    """Minus the mean log-probability of the real steps, one window and one step after the other."""
    model, columns = learner.model, learner.dataset.columns
    normalizer = model.get_vec_normalize_env()
    total: list[float] = []
    for window, real in zip(rows, mask, strict=True):
        state = model.policy.initial_state(1)
        for row, is_real in zip(window, real, strict=True):
            number = int(np.searchsorted(columns.offsets, row, side="right")) - 1
            env = wrap_environment(
                Replay(learner.dataset.with_episodes([learner.dataset.episodes[number]])),
                replace(learner.recipe, target_return=float(columns.returns[number])),
            )
            seen = env.reset()[0]
            for earlier in range(columns.offsets[number], row):
                seen = env.step(columns.actions[earlier])[0]
            normal = normalizer.normalize_obs(
                {k: v[None] for k, v in seen.items()} if isinstance(seen, dict) else seen[None]
            )
            obs, _ = model.policy.obs_to_tensor(normal)
            start = torch.tensor([row == columns.offsets[number]])
            action = torch.as_tensor(columns.actions[[row]])
            timed = {k: v[None] for k, v in obs.items()} if isinstance(obs, dict) else obs[None]
            log_prob = model.policy.evaluate_chunks(timed, action[None], state, start[None]).log_prob
            state = model.policy.act(obs, state, start)[3]
            total += [log_prob.item()] if is_real else []
    return -float(np.mean(total))


@pytest.mark.parametrize("batches", ["windows", "episodes"])
@pytest.mark.parametrize(
    "observations, actions",
    [
        (VECTOR, PUSHES),
        (VECTOR, TORQUES),
        (IMAGE, PUSHES),
        (VECTOR, spaces.MultiDiscrete([2, 3])),
        (VECTOR, spaces.Box(-1, 1, (2, 3))),
        (VECTOR, spaces.Box(-1, 1, ())),
    ],
    ids=["vector", "torques", "image", "several", "matrix", "number"],
)
def test_the_loss_is_that_of_a_plain_loop(batches: str, observations: spaces.Space, actions: spaces.Space) -> None:
    dataset = random_dataset([5, 3, 4], observation_space=observations, action_space=actions)
    learner = learner_of(dataset, OfflinePlan(batches=batches, seq_len=3, batch_size=3))
    twin = learner.plan.sampler(dataset, 1)
    for _ in range(2):
        windows = twin.sample()
        loss, _ = learner._loss(learner.batch())
        expected = plain_loss(learner, windows.rows, windows.mask)
        torch.testing.assert_close(loss.item(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", ["gru", "aaren", "larnn"])
def test_streams_are_read_as_one_long_sequence(memory: str) -> None:
    """The memory is carried from batch to batch, through the ends of episodes."""
    dataset = random_dataset([5, 3, 4, 1], action_space=PUSHES)
    learner, other = (learner_of(dataset, OfflinePlan(seq_len=3, batch_size=2), memory) for _ in range(2))
    losses = [learner._loss(learner.batch())[0].item() for _ in range(6)]
    batches, twin = [other.batch() for _ in range(6)], other.plan.sampler(dataset, 1)
    for batch in batches:
        torch.testing.assert_close(batch.starts, torch.as_tensor(twin.sample().times == 0).T)
    policy = other.model.policy
    log_prob = policy.evaluate_chunks(
        torch.cat([batch.observations for batch in batches]),  # type: ignore[misc]
        torch.cat([batch.actions for batch in batches]),
        policy.initial_state(2),
        torch.cat([batch.starts for batch in batches]),
        critic=False,
    ).log_prob
    torch.testing.assert_close(torch.tensor(losses), -log_prob.view(6, -1).mean(1), rtol=1e-4, atol=1e-5)
    windows = learner_of(dataset, OfflinePlan(seq_len=3, batch_size=2, batches="windows"), memory)
    windows.sampler = windows.plan.sampler(dataset, 1)
    assert losses != [windows._loss(windows.batch())[0].item() for _ in range(6)]


def test_the_critic_is_told_what_rewards_will_be_worth_online() -> None:
    dataset = random_dataset([3, 40], action_space=PUSHES)
    plan = OfflinePlan(value_coef=1.0, batches="episodes", batch_size=2)
    learner = learner_of(dataset, plan)
    rewards = dataset.columns.rewards
    scale = np.sqrt(learner.model.get_vec_normalize_env().ret_rms.var + 1e-8)
    told = learner._values * scale
    npt.assert_allclose(
        told[:3], [rewards[0] + 0.9 * (rewards[1] + 0.9 * rewards[2]), rewards[1] + 0.9 * rewards[2], rewards[2]]
    )
    # The second episode was cut off: what is 22 steps from its end misses a tenth, what is nearer misses more.
    unknown = np.isnan(told[3:])
    assert not unknown[: 40 - 21].any() and unknown[40 - 21 :].all() and 0.9**21 > 0.1 > 0.9**22
    batch = learner.batch()
    policy = learner.model.policy
    values = policy.evaluate_chunks(batch.observations, batch.actions, policy.initial_state(2), batch.starts).values
    wrong = [
        (values[t, b].item() - batch.returns[t, b].item()) ** 2
        for b in range(2)
        for t in range(len(values))
        if batch.mask[t, b] and not batch.returns[t, b].isnan()
    ]
    learner.sampler = plan.sampler(dataset, 1)
    _, record = learner._loss(learner.batch())
    torch.testing.assert_close(record["train/value_loss"].item(), float(np.mean(wrong)), rtol=1e-4, atol=1e-6)
    assert learner_of(dataset, replace(plan, value_coef=0.0))._values is None


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("truncated", [False, True])
def test_what_an_episode_was_worth_is_known_if_it_came_to_its_end(terminated: bool, truncated: bool) -> None:
    (episode,) = random_dataset([4], action_space=PUSHES).episodes
    episode = replace(episode, terminated=terminated, truncated=truncated)
    dataset = random_dataset([4], action_space=PUSHES).with_episodes([episode])
    learner = learner_of(dataset, OfflinePlan(value_coef=1.0, batches="episodes", batch_size=1))
    assert np.isfinite(learner._values).tolist() == [terminated] * 4


def test_rewards_that_never_change_are_left_as_they_are() -> None:
    dataset = random_dataset([6, 4], action_space=PUSHES)
    dataset.columns.rewards[:] = 0.0
    env = VecNormalize(DummyVecEnv([lambda: wrap_environment(Replay(dataset), RECIPE)]))
    fit_statistics(env, dataset, RECIPE, 0.9)
    npt.assert_allclose(env.normalize_reward(np.array([1.0, 0.5])), [1.0, 0.5], rtol=1e-6)


def test_discounted_sums_by_hand() -> None:
    dataset = random_dataset([3, 2])
    dataset.columns.rewards[:] = [1, 2, 4, 10, 20]
    npt.assert_allclose(discounted_returns_to_go(dataset, 0.5), [3, 4, 4, 20, 20])
    npt.assert_allclose(running_returns(dataset, 0.5), [1, 2.5, 5.25, 10, 25])


@pytest.mark.parametrize("observations", [VECTOR, IMAGE], ids=["vector", "dict"])
def test_statistics_are_those_a_normaliser_would_have_measured(observations: spaces.Space) -> None:
    dataset = random_dataset([6, 2, 9], observation_space=observations, action_space=PUSHES)
    own = [float(value) for value in dataset.returns]
    seen: list[Any] = []
    measured = VecNormalize(DummyVecEnv([lambda: wrap_environment(Replay(dataset), RECIPE)]), gamma=0.9)
    for number, episode in enumerate(dataset.episodes):
        env = wrap_environment(Replay(dataset.with_episodes([episode])), replace(RECIPE, target_return=own[number]))
        seen += [env.reset()[0], *(env.step(action)[0] for action in episode.actions[:-1])]
    fitted = VecNormalize(DummyVecEnv([lambda: wrap_environment(Replay(dataset), RECIPE)]), gamma=0.9)
    fit_statistics(fitted, dataset, RECIPE, 0.9)
    if isinstance(fitted.obs_rms, dict):
        pairs = [(fitted.obs_rms[key], np.stack([one[key] for one in seen])) for key in fitted.obs_rms]
    else:
        pairs = [(fitted.obs_rms, np.stack(seen))]
    for statistics, values in pairs:
        npt.assert_allclose(statistics.mean, values.mean(0), rtol=1e-3, atol=1e-4)
        npt.assert_allclose(statistics.var, values.var(0), rtol=1e-3, atol=1e-4)
    measured.reset()
    for action in dataset.columns.actions:
        measured.step(np.array([action]))
    npt.assert_allclose(fitted.ret_rms.var, measured.ret_rms.var, rtol=1e-3)


def test_what_never_changes_in_the_data_is_not_blown_up() -> None:
    dataset = random_dataset([6, 4], action_space=PUSHES)
    dataset.columns.observations[:, 1] = 3.0
    env = VecNormalize(DummyVecEnv([lambda: wrap_environment(Replay(dataset), RECIPE)]))
    fit_statistics(env, dataset, RECIPE, 0.9)
    other = np.zeros(env.observation_space.shape, np.float32)
    other[1] = 3.1
    assert abs(env.normalize_obs(other)[1]) < 0.2


def test_the_learning_rate_rises_and_falls() -> None:
    plan = OfflinePlan(updates=100, learning_rate=Linear(1.0, 0.0), warmup=0.1)
    rates = [plan.rate(done) for done in (0, 4, 9, 10, 55, 99)]
    npt.assert_allclose(rates, [0.1, 0.5 * 0.96, 0.91, 0.9, 0.45, 0.01])
    assert OfflinePlan(learning_rate=0.3, warmup=0.0).rate(0) == 0.3
    assert OfflinePlan(updates=1, learning_rate=Linear(0.3)).rate(0) == 0.3, "the only update is one"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"updates": 0}, "updates must be a whole number of at least 1, got 0"),
        ({"seq_len": 2.5}, "seq_len must be a whole number of at least 1, got 2.5"),
        ({"batches": "rows"}, "batches must be streams, windows or episodes, got 'rows'"),
        ({"best": 0.0}, "best must be a number above 0 and at most 1, a share of the steps, got 0.0"),
        ({"best": "0.5"}, "best must be a number above 0 and at most 1, a share of the steps, got '0.5'"),
        (
            {"learning_rate": -1.0},
            "learning_rate must be above 0, or linear(start, end) with one such and none below 0, got -1.0",
        ),
        ({"learning_rate": "x"}, "with one such and none below 0, got 'x'"),
        ({"learning_rate": Linear(-1.0)}, "with one such and none below 0, got linear(-1.0, 0.0)"),
        ({"learning_rate": Linear(0.0)}, "with one such and none below 0, got linear(0.0, 0.0)"),
        ({"warmup": 1.0}, "warmup must be a number from 0 to below 1"),
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        OfflinePlan(**changes)


def test_settings_of_the_plan_are_told_from_others() -> None:
    given = {"seq_len": 5, "hidden_size": 9, "learning_rate": Linear(0.1)}
    assert split_settings(given) == ({"seq_len": 5, "learning_rate": Linear(0.1)}, {"hidden_size": 9})
    with pytest.raises(UserError, match=r"the setting seq_len expects int, got 'long' \(str\)"):
        split_settings({"seq_len": "long"})
    with pytest.raises(UserError, match=r"learning_rate expects float or linear\(start, end\), got 'high'"):
        split_settings({"learning_rate": "high"})


def tmaze(quality: float = 0.5) -> Dataset:
    env = make("TMazePassive-10", corridor=6)
    good = scripted_behaviour(env)
    assert good is not None
    behaviour: Behaviour = mixed_behaviour(good, env.action_space, quality)
    episodes = collect(lambda: make("TMazePassive-10", corridor=6), behaviour, Amount(episodes=200), seed=0)
    return Dataset("tmaze", Columns.of(episodes), env.observation_space, env.action_space)


def mean_return(learner: OfflineLearner, target: float, episodes: int = 40) -> float:
    model, normalizer = learner.model, learner.model.get_vec_normalize_env()
    env: gym.Env = wrap_environment(make("TMazePassive-10", corridor=6), replace(RECIPE, target_return=target))
    totals = []
    for seed in range(episodes):
        observation, state, start, total, done = env.reset(seed=seed)[0], None, np.ones(1, bool), 0.0, False
        while not done:
            normal = normalizer.normalize_obs(observation[None])
            action, state = model.predict(normal, state, start, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action[0])
            start, total, done = np.zeros(1, bool), total + float(reward), terminated or truncated
        totals.append(total)
    return float(np.mean(totals))


def test_a_memory_recalls_what_the_memoryless_cannot_and_does_as_it_is_asked() -> None:
    """T-Maze from data of which half is random play; one seed, chance is 0.5 and far below for random play."""
    dataset = tmaze()
    plan = OfflinePlan(updates=80, batch_size=64, batches="episodes", learning_rate=Linear(1e-2))
    scores = {}
    for memory in ("aaren", "none"):
        learner = learner_of(dataset, plan, memory)
        for _ in range(plan.updates):
            learner.update()
        scores[memory] = mean_return(learner, 1.0)
        if memory == "aaren":
            scores["asked for little"] = mean_return(learner, float(dataset.returns.min()))
    assert scores["aaren"] > 0.9 and scores["none"] < 0.75
    assert scores["asked for little"] < scores["aaren"] - 0.3
