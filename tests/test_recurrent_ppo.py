"""RecurrentPPO: what it collects, and what it learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecMonitor, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

from rl_larnn.agents import RecurrentPPO
from rl_larnn.buffer import ChunkBuffer
from rl_larnn.memories import MEMORIES
from rl_larnn.state import map_state, pack, select
from rl_larnn.upstream import ChunkEvaluation, PolicyState
from tests.ppo_cases import MODES, VECTOR, agent, collect, random_env
from tests.toy_envs import RecallFirst

#: Every memory with a critic's memory of its own, and the other places of the critic with one memory.
MEMORIES_AND_MODES = [*((memory, "separate") for memory in MEMORIES), ("gru", "shared"), ("gru", "none")]


@pytest.mark.parametrize(
    ("memory", "mode", "seq_len"),
    [*((*pair, 4) for pair in MEMORIES_AND_MODES), *(("gru", mode, 24) for mode in MODES)],
)
def test_first_minibatches_have_ratio_one(memory: str, mode: str, seq_len: int) -> None:
    model = agent(memory, seq_len=seq_len, policy_kwargs={"critic_memory": mode})
    collect(model, rollouts=2)
    assert model.rollout_buffer.starts[1:].any(), "the rollout should hold starts inside its chunks"
    model.policy.set_training_mode(True)
    for chunks in model.rollout_buffer.get(model.batch_size):
        values, log_prob, _ = model._evaluate(chunks)
        ratio = torch.exp(log_prob - chunks.old_log_prob)
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=1e-5)
        torch.testing.assert_close(values, chunks.old_values, rtol=1e-5, atol=1e-5)


class CastFeatures(FlattenExtractor):
    """Features in a type of choice: SB3 hands over float32 whatever the policy computes in."""

    dtype = torch.float32

    def forward(self, observations: Tensor) -> Tensor:
        return super().forward(observations).to(self.dtype)


@pytest.mark.parametrize(("memory", "mode"), MEMORIES_AND_MODES)
def test_gradients_equal_a_plain_loop(memory: str, mode: str) -> None:
    """The chunked loss against one that walks each environment's chunk one step at a time, in float64."""
    options = {"critic_memory": mode, "features_extractor_class": CastFeatures}
    model = agent(memory, policy_kwargs=options, seq_len=8, batch_size=72)
    collect(model, rollouts=2)
    policy = model.policy.double()
    policy.features_extractor.dtype = torch.float64  # type: ignore[assignment]
    (chunks,) = model.rollout_buffer.get(72)
    chunks = chunks._replace(state=map_state(Tensor.double, chunks.state))

    def gradients() -> list[Tensor]:
        policy.optimizer.zero_grad()
        model._loss(chunks, clip_range=0.2, clip_range_vf=None)[0].backward()
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in policy.parameters()]

    chunked = gradients()

    def plain(obs: Tensor, actions: Tensor, state: PolicyState, starts: Tensor) -> ChunkEvaluation:
        rows = []
        for t in range(len(starts)):
            actor_features, critic_features = policy._features(obs[t])
            state = select(starts[t], policy.initial_state(1), state)
            actor, actor_state = policy.actor_memory.step(actor_features, state.actor)
            critic, critic_state = actor.detach(), state.critic
            if policy.critic_memory is not None:
                critic, critic_state = policy.critic_memory.step(critic_features, state.critic)
            state = PolicyState(actor_state, critic_state)
            distribution = policy._distribution(actor)
            rows.append((policy._values(critic), distribution.log_prob(actions[t]), distribution.entropy()))
        values, log_prob, entropy = (torch.stack(column) for column in zip(*rows, strict=True))
        return ChunkEvaluation(values, log_prob, entropy, state)

    policy.evaluate_chunks = plain  # type: ignore[method-assign, assignment]
    for mine, theirs in zip(chunked, gradients(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


def test_chunks_are_stretches_of_one_environment() -> None:
    model = agent(seq_len=6, batch_size=12)
    collect(model)
    buffer = model.rollout_buffer
    seen = []
    for chunks in buffer.get(12):
        for column in range(chunks.starts.shape[1]):
            obs = chunks.observations[:, column]
            (found,) = [
                (k, e)
                for k in range(4)
                for e in range(3)
                if torch.equal(buffer.observations[6 * k : 6 * k + 6, e], obs)
            ]
            k, e = found
            torch.testing.assert_close(chunks.returns[:, column], buffer.returns[6 * k : 6 * k + 6, e])
            torch.testing.assert_close(pack(chunks.state.actor)[column], pack(buffer.states[k].actor)[e])
            seen.append(found)
    assert sorted(seen) == [(k, e) for k in range(4) for e in range(3)]


def test_advantages_by_hand() -> None:
    """Two environments, three steps, gamma 0.5, lambda 0.5; the second starts anew at step 2."""
    buffer = ChunkBuffer(3, VECTOR, spaces.Discrete(2), 3, "cpu", n_envs=2, gamma=0.5, gae_lambda=0.5)
    buffer.rewards[:] = torch.tensor([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]])
    buffer.values[:] = torch.tensor([[2.0, 2.0], [4.0, 4.0], [8.0, 8.0]])
    buffer.starts[2, 1] = True
    buffer.compute_returns_and_advantage(torch.tensor([16.0, 16.0]), torch.tensor([False, True]))
    # Errors r + 0.5 V' - V: first 1, 2, 4; second 1, 2 - 4 = -2 (its episode ended), 4 - 8 = -4 (ended too).
    expected = torch.tensor([[1 + 0.25 * 3, 1 + 0.25 * -2], [2 + 0.25 * 4, -2.0], [4.0, -4.0]])
    torch.testing.assert_close(buffer.advantages, expected)
    torch.testing.assert_close(buffer.returns, expected + buffer.values)


@pytest.mark.parametrize("mode", MODES)
def test_time_limits_bootstrap_with_the_memory_of_their_episode(mode: str) -> None:
    """The value added at a time limit is that of the whole episode, read from its first step in one scan."""
    limit, gamma = 5, 0.9

    class Recorder(BaseCallback):
        def _on_training_start(self) -> None:
            self.steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

        def _on_step(self) -> bool:
            obs = np.stack(
                [
                    info.get("terminal_observation", o)
                    for info, o in zip(self.locals["infos"], self.locals["new_obs"], strict=True)
                ]
            )
            self.steps.append((obs, self.locals["rewards"].copy(), self.locals["dones"].copy()))
            return True

    env = DummyVecEnv([lambda: TimeLimit(RecallFirst(length=10**6), limit) for _ in range(2)])
    model = agent("lstm", env, n_steps=10, batch_size=20, gamma=gamma, policy_kwargs={"critic_memory": mode})
    recorder = Recorder()
    _, callback = model._setup_learn(10_000, recorder)
    first = model._last_obs.copy()
    callback.on_training_start({}, {})
    model.collect_rollouts(env, callback, model.rollout_buffer, 10)
    whole = torch.as_tensor(np.stack([first, *(obs for obs, _, _ in recorder.steps[:limit])]))  # (limit + 1, 2, 3)
    starts = torch.zeros(limit + 1, 2, dtype=torch.bool)
    actions = torch.zeros(limit + 1, 2, dtype=torch.long)
    with torch.no_grad():
        values = model.policy.evaluate_chunks(whole, actions, model.policy.initial_state(2), starts).values
    assert recorder.steps[limit - 1][2].all(), "both episodes should be cut at the limit"
    plain = torch.as_tensor(recorder.steps[limit - 1][1])
    torch.testing.assert_close(
        model.rollout_buffer.rewards[limit - 1], plain + gamma * values[-1], rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(model.rollout_buffer.rewards[limit - 2], torch.as_tensor(recorder.steps[limit - 2][1]))


OBSERVATIONS = {
    "vector": ("Mlp", VECTOR),
    "matrix": ("Mlp", spaces.Box(-1.0, 1.0, (2, 3), np.float64)),
    "image": ("Cnn", spaces.Box(0, 255, (3, 36, 36), np.uint8)),
    "discrete": ("Mlp", spaces.Discrete(5)),
    "multidiscrete": ("Mlp", spaces.MultiDiscrete([3, 4])),
    "multibinary": ("Mlp", spaces.MultiBinary(4)),
    "dict": ("MultiInput", spaces.Dict({"a": VECTOR, "b": spaces.Discrete(3), "c": spaces.MultiDiscrete([2, 2])})),
    "dict with image": ("MultiInput", spaces.Dict({"i": spaces.Box(0, 255, (36, 36, 1), np.uint8), "v": VECTOR})),
}
ACTIONS = {
    "box": spaces.Box(-2.0, 2.0, (2,), np.float32),
    "number": spaces.Box(-2.0, 2.0, (), np.float32),
    "one of one": spaces.Box(-2.0, 2.0, (1, 1), np.float32),
    "matrix": spaces.Box(-2.0, 2.0, (2, 3), np.float32),
    "discrete": spaces.Discrete(3),
    "multidiscrete": spaces.MultiDiscrete([2, 3]),
    "multibinary": spaces.MultiBinary(3),
}


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_observation_spaces(observation: str) -> None:
    kind, space = OBSERVATIONS[observation]
    model = agent(
        "larnn", random_env(space, n_envs=2), policy=f"{kind}MemoryPolicy", n_steps=8, batch_size=8, n_epochs=1
    )
    model.learn(32)
    action, state = model.predict(model.env.reset(), episode_start=np.ones(2, dtype=bool))
    again, _ = model.predict(model.env.reset(), state=state, episode_start=np.zeros(2, dtype=bool))
    assert action.shape == again.shape == (2,)


@pytest.mark.parametrize("action", ACTIONS)
def test_action_spaces(action: str) -> None:
    model = agent("aaren", random_env(action=ACTIONS[action]), n_epochs=1)
    model.learn(80)
    found, _ = model.predict(model.env.reset(), episode_start=np.ones(3, dtype=bool), deterministic=True)
    assert all(ACTIONS[action].contains(np.asarray(a)) for a in found)


@pytest.mark.parametrize("action", ACTIONS)
def test_stored_actions_have_the_log_probability_they_were_chosen_with(action: str) -> None:
    model = agent("gru", random_env(action=ACTIONS[action]))
    collect(model, rollouts=2)
    for chunks in model.rollout_buffer.get(model.batch_size):
        _, log_prob, _ = model._evaluate(chunks)
        torch.testing.assert_close(log_prob, chunks.old_log_prob, rtol=1e-5, atol=1e-5)


def test_a_batch_of_everything() -> None:
    """As sb3-contrib's signature allows."""
    model = agent(batch_size=None, n_epochs=1)
    assert model.batch_size == 72
    model.learn(72)


def test_other_forms_of_adam_are_possible() -> None:
    agent(n_epochs=1, policy_kwargs={"optimizer_kwargs": {"foreach": True}}).learn(72)


@pytest.mark.parametrize("squash", [False, True])
def test_sde_and_the_scale_of_squashed_actions(squash: bool) -> None:
    """What the environment receives while training has the scale that predict() gives: up to the bounds."""
    env = random_env(action=spaces.Box(-5.0, 5.0, (1,), np.float32))
    options = {"squash_output": squash, "log_std_init": 1.0}
    model = agent("gru", env, use_sde=True, sde_sample_freq=4, policy_kwargs=options)
    model.learn(72)
    sent = np.abs(np.stack([a for e in env.envs for a in e.actions]))
    assert sent.max() <= 5.0
    if squash:
        assert sent.max() > 1.0, "a squashed action of 1 means the bound of the space, not 1"


def test_options_of_ppo_are_obeyed() -> None:
    model = agent(
        "lstm",
        n_epochs=50,
        learning_rate=1e-2,
        clip_range=LinearSchedule(0.2, 0.1, 1.0),
        target_kl=1e-6,
        clip_range_vf=0.3,
    )
    collect(model)
    model.train()
    assert model._n_updates == 1, "target_kl should have stopped the update in its first epoch"
    logged = model.logger.name_to_value
    assert (logged["train/clip_range"], logged["train/clip_range_vf"]) == pytest.approx((0.2, 0.3))
    assert logged["train/approx_kl"] > 0


def test_callbacks_subprocesses_and_normalisation(tmp_path: Any) -> None:
    env = VecNormalize(SubprocVecEnv([RecallFirst, RecallFirst], start_method="forkserver"))
    model = agent("larnn", env, tensorboard_log=str(tmp_path / "tb"))
    evaluation = EvalCallback(
        VecNormalize(VecMonitor(DummyVecEnv([RecallFirst])), training=False),
        eval_freq=20,
        best_model_save_path=str(tmp_path),
        verbose=0,
    )
    checkpoint = CheckpointCallback(20, str(tmp_path), save_vecnormalize=True)
    model.learn(96, callback=CallbackList([evaluation, checkpoint]))
    env.close()
    assert (tmp_path / "best_model.zip").exists() and (tmp_path / "rl_model_40_steps.zip").exists()
    (folder,) = (tmp_path / "tb").iterdir()
    tags = set(EventAccumulator(str(folder)).Reload().Tags()["scalars"])
    assert {"train/approx_kl", "train/value_loss", "eval/mean_reward", "memory/actor_state_rms", "time/fps"} <= tags


@pytest.mark.parametrize("memory", MEMORIES)
def test_save_load_and_continue(memory: str, tmp_path: Any) -> None:
    model = agent(memory, random_env(n_envs=2))
    model.learn(60)
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=random_env(n_envs=4))
    assert loaded._last_state is None, "the memory of old episodes has no place in an archive"
    rng = np.random.default_rng(0)
    states: list[Any] = [None, None]
    for step in range(12):
        obs = rng.normal(size=(7, 3)).astype(np.float32)
        starts = rng.random(7) < (1.0 if step == 0 else 0.2)
        actions = []
        for index, one in enumerate((model, loaded)):
            action, states[index] = one.predict(obs, states[index], starts, deterministic=True)
            actions.append(action)
        np.testing.assert_array_equal(*actions)
    loaded.learn(200, reset_num_timesteps=False)
    assert loaded.num_timesteps > 200


def test_same_seed_same_policy() -> None:
    packed = []
    for _ in range(2):
        model = agent("aaren", DummyVecEnv([RecallFirst, RecallFirst]), seed=3)
        model.learn(96)
        packed.append(torch.nn.utils.parameters_to_vector(model.policy.parameters()).detach())
    torch.testing.assert_close(*packed, rtol=0, atol=0)


def test_whole_numbers_that_were_normalised_are_kept_as_they_were_seen() -> None:
    space = spaces.Box(0, 100, (3,), np.int64)
    model = agent("gru", VecNormalize(random_env(space)))
    collect(model, rollouts=2)
    for chunks in model.rollout_buffer.get(model.batch_size):
        _, log_prob, _ = model._evaluate(chunks)
        torch.testing.assert_close(log_prob, chunks.old_log_prob, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("memory", ["gru", "aaren", "none"])
def test_short_learning(memory: str) -> None:
    """A bit shown three steps ago: memories recall it, the control stays near 0.5. Seed 0, 100 episodes each."""
    env = DummyVecEnv([RecallFirst for _ in range(16)])
    model = RecurrentPPO(
        "MlpMemoryPolicy", env, learning_rate=3e-3, n_steps=32, batch_size=256, n_epochs=5, seed=0, gamma=0.9,
        device="cpu",
        policy_kwargs={"memory": memory, "memory_kwargs": {"hidden_size": 16}, "net_arch": []},
    )  # fmt: skip
    model.learn(10_000)
    mean, _ = evaluate_policy(model, DummyVecEnv([RecallFirst for _ in range(5)]), 100, warn=False)
    if memory == "none":
        assert 0.3 < mean < 0.7
    else:
        assert mean > 0.95
