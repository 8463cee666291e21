"""PPO (Schulman et al., 2017, arXiv 1707.06347) for policies with a memory, trained in whole chunks of time.

The same algorithm, arguments, callbacks and log keys as ``sb3_contrib.RecurrentPPO``, which it subclasses. What differs
is how a rollout is kept and read (:mod:`rl_larnn.buffer`), so that any memory can be trained, at full speed.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib import RecurrentPPO as SB3RecurrentPPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.save_util import load_from_zip_file
from stable_baselines3.common.type_aliases import GymEnv, PyTorchObs, Schedule
from stable_baselines3.common.utils import FloatSchedule, explained_variance, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs
from torch import Tensor

from rl_larnn.agents.components.checks import (
    NonFiniteError,
    all_finite,
    check_finite,
    check_options,
    check_policy,
    check_removed_options,
    choose_seq_len,
)
from rl_larnn.agents.components.teacher import TEACHER, Teacher, fit_teacher
from rl_larnn.buffer import ChunkBuffer, Chunks
from rl_larnn.observations import map_observation
from rl_larnn.optimizer import clip_gradients
from rl_larnn.policies import POLICY_ALIASES, MemoryActorCriticPolicy
from rl_larnn.state import leaves, pack, rows
from rl_larnn.upstream import PolicyState

SelfRecurrentPPO = TypeVar("SelfRecurrentPPO", bound="RecurrentPPO")


class RecurrentPPO(SB3RecurrentPPO):
    """PPO for :class:`rl_larnn.policies.MemoryActorCriticPolicy`.

    :param policy: ``"MlpAarenPolicy"``, ``"MlpLarnnPolicy"`` ... (:data:`rl_larnn.policies.POLICY_ALIASES`), or
        ``"MlpMemoryPolicy"`` with ``policy_kwargs=dict(memory=...)``, or a subclass of the policy
    :param env: environment or its id
    :param seq_len: chunk length in steps: how far gradients reach back. ``n_steps`` and ``batch_size`` must be
        multiples of it. None takes the largest common divisor of the two up to 32.
    :param batch_size: minibatch size in steps; None: the whole rollout
    :param min_advantage_std: normalised advantages are divided by at least this, in the unit of the rewards; 0 to 0.1.
        Where a task is solved, all advantages are noise: divided by their own deviation, they would drive the policy
        away. A larger value slows learning where rewards are small.
    :param kickstart_coef: weight of the penalty on leaving the policy that training begins with, a number from 0 to 3
        or a schedule of the remaining progress; for weights that come from elsewhere
        (:mod:`rl_larnn.agents.components.teacher`); logs ``memory/teacher_kl``
    :param device: and every other argument: as in ``sb3_contrib.RecurrentPPO``
    :raises ValueError: for sizes that do not divide, with the nearest that do; for unsupported spaces; for options out
        of range
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict(POLICY_ALIASES)
    policy: MemoryActorCriticPolicy
    rollout_buffer: ChunkBuffer  # type: ignore[assignment]
    batch_size: int

    def __init__(
        self,
        policy: str | type[MemoryActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 128,
        batch_size: int | None = 128,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: torch.device | str = "auto",
        _init_setup_model: bool = True,
        *,
        seq_len: int | None = None,
        min_advantage_std: float = 0.0,
        kickstart_coef: float | Schedule = 0.0,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            batch_size=batch_size,
            n_epochs=n_epochs,
            gamma=gamma,
            gae_lambda=gae_lambda,
            clip_range=clip_range,
            clip_range_vf=clip_range_vf,
            normalize_advantage=normalize_advantage,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            target_kl=target_kl,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        self.seq_len = seq_len
        self.min_advantage_std = min_advantage_std
        self.kickstart_coef = kickstart_coef
        self.teacher: Teacher | None = None
        self._last_state: PolicyState | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        check_options(self)
        if self.batch_size is None:
            self.batch_size = self.n_steps * self.n_envs
        self.seq_len = choose_seq_len(self.seq_len, self.n_steps, self.batch_size)
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, use_sde=self.use_sde, **self.policy_kwargs
        )
        self.policy = check_policy(policy, self.observation_space).to(self.device)
        self.teacher = Teacher(self.policy, self.kickstart_coef) if self.kickstart_coef else None
        self.rollout_buffer = ChunkBuffer(
            self.n_steps,
            self.observation_space,
            self.action_space,
            self.seq_len,
            self.device,
            n_envs=self.n_envs,
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        self.clip_range = FloatSchedule(self.clip_range)
        if self.clip_range_vf is not None:
            self.clip_range_vf = FloatSchedule(self.clip_range_vf)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        check_removed_options(self)
        found = super()._setup_learn(*args, **kwargs)
        if self.teacher is not None and self.num_timesteps == 0:
            self.teacher.load_state_dict(self.policy.state_dict())
        return found

    # ------------------------------------------------------------------ collecting

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: ChunkBuffer,  # type: ignore[override]
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` steps of every environment; False if a callback said stop.

        :raises NonFiniteError: at a NaN or infinite observation or reward, naming environment and step
        """
        assert self._last_obs is not None
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        if self._last_state is None or len(leaves(self._last_state)[0]) != env.num_envs:
            self._last_state = self.policy.initial_state(env.num_envs)
            self._last_episode_starts = np.ones(env.num_envs, dtype=bool)  # an empty memory knows no episode
            self._check_finite(self._last_obs, np.zeros(env.num_envs))
        callback.on_rollout_start()
        for n_steps in range(n_rollout_steps):
            if self.use_sde and self.sde_sample_freq > 0 and n_steps % self.sde_sample_freq == 0:
                self.policy.reset_noise(env.num_envs)
            obs, starts = self._last_inputs()
            with torch.no_grad():
                actions, values, log_probs, state = self.policy.act(obs, self._last_state, starts)
            new_obs, rewards, dones, infos = env.step(self._to_env_actions(actions.cpu().numpy()))
            self.num_timesteps += env.num_envs
            self._check_finite(new_obs, rewards)
            callback.update_locals(locals())
            go_on = callback.on_step()
            self._update_info_buffer(infos, dones)
            rewards = self._bootstrap_truncated(rewards, dones, infos, state)
            rollout_buffer.add(obs, actions, rewards, starts, values, log_probs, self._last_state)
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts, self._last_state = dones, state
            if not go_on:
                return False
        obs, starts = self._last_inputs()
        with torch.no_grad():
            values = self.policy.state_values(obs, self._last_state, starts)
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=starts)
        if self.teacher is not None:
            self.logger.record("memory/teacher_kl", self.teacher.read_rollout(rollout_buffer))
        self._log_memory()
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _last_inputs(self) -> tuple[PyTorchObs, Tensor]:
        starts = torch.as_tensor(np.asarray(self._last_episode_starts, dtype=bool), device=self.device)
        return obs_as_tensor(self._last_obs, self.device), starts  # type: ignore[arg-type]

    def _to_env_actions(self, actions: np.ndarray) -> np.ndarray:
        """What the environment is sent: unscaled where the policy squashes, else clipped to the bounds."""
        if not isinstance(self.action_space, spaces.Box):
            return actions
        if self.policy.squash_output:
            return self.policy.unscale_action(actions)
        return np.clip(actions, self.action_space.low, self.action_space.high)

    def _bootstrap_truncated(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]], state: PolicyState
    ) -> np.ndarray:
        """Add the value of what would have come where a time limit, not the task, ended an episode.

        The last observation is read with the memory of its own episode: the state after the step, no start.
        """
        cut = [
            index
            for index in np.flatnonzero(dones)
            if infos[index].get("TimeLimit.truncated", False) and infos[index].get("terminal_observation") is not None
        ]
        if not cut:
            return rewards
        last: list[Any] = [self.policy.obs_to_tensor(infos[index]["terminal_observation"])[0] for index in cut]
        obs = map_observation(lambda *parts: torch.cat(parts), *last)
        starts = torch.zeros(len(cut), dtype=torch.bool, device=self.device)
        with torch.no_grad():
            values = self.policy.state_values(obs, rows(state, cut), starts).cpu().numpy()
        if not np.isfinite(values).all():
            bad = cut[int(np.flatnonzero(~np.isfinite(values))[0])]
            raise NonFiniteError(
                f"environment {bad} ended with an observation that is not finite at step {self.num_timesteps}; "
                "mend the environment or clip what it returns"
            )
        rewards = rewards.copy()
        rewards[cut] += self.gamma * values
        return rewards

    def _check_finite(self, obs: VecEnvObs, rewards: np.ndarray) -> None:
        """A running normaliser spreads one NaN over all environments, so look at what came before it."""
        normalizer = self.get_vec_normalize_env()
        if normalizer is not None:
            obs, rewards = normalizer.get_original_obs(), normalizer.get_original_reward()  # type: ignore[assignment]
        check_finite(obs, rewards, self.num_timesteps)

    def _log_memory(self) -> None:
        assert self._last_state is not None
        for name, state in self._last_state._asdict().items():
            packed = pack(state)
            if packed.numel():
                self.logger.record(f"memory/{name}_state_rms", packed.square().mean().sqrt().item())

    # ------------------------------------------------------------------ learning

    def train(self) -> None:
        """Improve the policy on the rollout in the buffer.

        :raises NonFiniteError: if a loss or weight is not finite (a learning rate too high, rewards out of scale)
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        progress = self._current_progress_remaining
        clip_range = self.clip_range(progress)  # type: ignore[operator]
        clip_range_vf = None if self.clip_range_vf is None else self.clip_range_vf(progress)  # type: ignore[operator]
        if self.teacher is not None:
            self.teacher.begin_update(progress)
        records = self._run_epochs(clip_range, clip_range_vf)
        if not all_finite(self.policy.parameters()):
            raise NonFiniteError(self._divergence("the weights"))  # the losses are of before the last step
        self._log_training(records, clip_range, clip_range_vf)

    def _run_epochs(self, clip_range: float, clip_range_vf: float | None) -> Tensor:
        """Go over the rollout until ``n_epochs`` or ``target_kl`` is reached; one row of losses per minibatch."""
        parameters = list(self.policy.parameters())
        records: list[Tensor] = []  # on the device, and only read when all is done
        for epoch in range(self.n_epochs):
            early = False
            for chunks in self.rollout_buffer.get(self.batch_size):
                loss, record = self._loss(chunks, clip_range, clip_range_vf)
                records.append(record)
                early = self.target_kl is not None and record[3].item() > 1.5 * self.target_kl
                if early:
                    if self.verbose >= 1:
                        self.logger.info(
                            f"Early stopping at step {epoch} due to reaching max kl: {record[3].item():.2f}"
                        )
                    break
                self.policy.optimizer.zero_grad()
                loss.backward()
                clip_gradients(parameters, self.max_grad_norm)
                self.policy.optimizer.step()
            self._n_updates += 1
            if early:
                break
        return torch.stack(records)

    def _loss(self, chunks: Chunks, clip_range: float, clip_range_vf: float | None) -> tuple[Tensor, Tensor]:
        """The loss of one minibatch, and what is logged of it: policy, value, entropy, KL, clipped share, total."""
        values, log_prob, entropy = self._evaluate(chunks)
        advantages = chunks.advantages
        if self.normalize_advantage and advantages.numel() > 1:
            scale = (advantages.std() + 1e-8).clamp(min=self.min_advantage_std)
            advantages = (advantages - advantages.mean()) / scale
        log_ratio = log_prob - chunks.old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        if clip_range_vf is not None:
            values = chunks.old_values + (values - chunks.old_values).clamp(-clip_range_vf, clip_range_vf)
        value_loss = (chunks.returns - values).square().mean()
        # Without a closed form, the mean log-probability of what was done stands in for the entropy.
        entropy_loss = log_prob.mean() if entropy is None else -entropy.mean()
        loss = policy_loss + self.vf_coef * value_loss
        if self.ent_coef != 0:  # else it is only logged
            loss = loss + self.ent_coef * entropy_loss
        if self.teacher is not None:
            loss = loss + self.teacher.penalty(log_prob, chunks)
        with torch.no_grad():
            kl = (ratio - 1 - log_ratio).mean()  # Schulman, "Approximating KL divergence", estimator k3
            clip_fraction = ((ratio - 1).abs() > clip_range).float().mean()
            record = torch.stack([policy_loss, value_loss, entropy_loss, kl, clip_fraction, loss])
        return loss, record

    def _evaluate(self, chunks: Chunks) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values, log-probabilities and entropies of a minibatch, each ``(L, B)``."""
        try:
            found = self.policy.evaluate_chunks(chunks.observations, chunks.actions, chunks.state, chunks.starts)
        except ValueError as error:  # torch refuses to make a distribution from NaN
            raise NonFiniteError(self._divergence(str(error).splitlines()[0])) from error
        assert found.values is not None
        return found.values, found.log_prob, found.entropy

    def _log_training(self, records: Tensor, clip_range: float, clip_range_vf: float | None) -> None:
        policy_loss, value_loss, entropy_loss, kl, clip_fraction, _ = records.mean(0).tolist()
        loss = records[-1, 5].item()
        if not np.isfinite(records.sum().item()):
            raise NonFiniteError(self._divergence(f"policy loss {policy_loss:.3g}, value loss {value_loss:.3g}"))
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten().cpu().numpy(), buffer.returns.flatten().cpu().numpy())
        self.logger.record("train/entropy_loss", entropy_loss)
        self.logger.record("train/policy_gradient_loss", policy_loss)
        self.logger.record("train/value_loss", value_loss)
        self.logger.record("train/approx_kl", kl)
        self.logger.record("train/clip_fraction", clip_fraction)
        self.logger.record("train/loss", loss)
        self.logger.record("train/explained_variance", explained)
        if hasattr(self.policy, "log_std"):
            self.logger.record("train/std", torch.exp(self.policy.log_std).mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self.logger.record("train/clip_range", clip_range)
        if clip_range_vf is not None:
            self.logger.record("train/clip_range_vf", clip_range_vf)

    def _divergence(self, detail: str) -> str:
        return (
            f"training diverged: not finite after step {self.num_timesteps} ({detail}); "
            "try a lower learning_rate, or normalise observations and rewards"
        )

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_last_state", TEACHER]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        modules, tensors = super()._get_torch_save_params()
        return ([*modules, TEACHER] if self.teacher is not None else modules), tensors

    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: Any = "auto") -> None:
        """As in SB3; an archive may have been saved with another ``kickstart_coef``."""
        found = load_path_or_dict
        if not isinstance(found, dict):
            found = load_from_zip_file(found, device=device, load_data=False)[1]
        try:
            super().set_parameters(fit_teacher(found, self.teacher is not None), exact_match, device)
        except RuntimeError as error:
            if "memory" in self.policy_kwargs:
                raise
            raise ValueError(
                f"the weights do not fit a policy with the memory {self.policy.memory}; an archive of an earlier "
                'revision that names no memory holds a larnn: load it with custom_objects={"policy_kwargs": '
                'dict(memory="larnn")}'
            ) from error
