"""PPO (Schulman et al., 2017, arXiv 1707.06347) for policies with a memory, trained on chunks of consecutive steps.

The same algorithm, arguments, callbacks and log keys as ``sb3_contrib.RecurrentPPO``, its base class. The difference is
how a rollout is stored and read (:mod:`rl_larnn.buffer`): any memory can be trained, and by scans over whole chunks.
"""

from __future__ import annotations

from typing import Any, ClassVar

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

from rl_larnn.agents.components import checks
from rl_larnn.agents.components.checks import NonFiniteError
from rl_larnn.agents.components.teacher import TEACHER, Teacher, fit_teacher
from rl_larnn.buffer import ChunkBuffer, Chunks
from rl_larnn.observations import map_observation
from rl_larnn.optimizer import clip_gradients
from rl_larnn.policies import POLICY_ALIASES, MemoryActorCriticPolicy
from rl_larnn.state import leaves, pack, rows
from rl_larnn.upstream import PolicyState


class RecurrentPPO(SB3RecurrentPPO):
    """PPO for :class:`rl_larnn.policies.MemoryActorCriticPolicy`.

    :param policy: ``"MlpAarenPolicy"``, ``"MlpLarnnPolicy"`` ... (:data:`rl_larnn.policies.POLICY_ALIASES`), or
        ``"MlpMemoryPolicy"`` with ``policy_kwargs=dict(memory=...)``, or a subclass of the policy
    :param env: environment or its id
    :param learning_rate: step size of Adam, or a schedule of the remaining progress; 1e-4 to 3e-3. Higher is faster and
        less stable; recipes let it fall to 0.
    :param n_steps: steps of each environment per rollout; 16 to 1024. More steps give advantages with less noise and
        fewer updates.
    :param batch_size: minibatch size in steps, 64 to 512; None: the whole rollout. Larger minibatches give gradients
        with less noise and fewer steps of the optimiser.
    :param n_epochs: passes over each rollout, 4 to 20. More use the data better and move the policy further from the
        one that collected them.
    :param gamma: discount per step, 0 to 0.9999. Rewards later than about 1 / (1 - gamma) steps count little.
    :param gae_lambda: of the advantages, 0.8 to 0.98. Higher relies less on the critic, at the price of more noise.
    :param clip_range: of the policy's ratio, a number or schedule; 0.1 to 0.3. Higher allows larger updates.
    :param clip_range_vf: of the critic's change in an update, in the unit of the returns; None: not clipped
    :param normalize_advantage: scale the advantages of each minibatch to mean 0 and deviation 1
    :param ent_coef: weight of the entropy bonus, 0 to 0.05. Higher explores more and delays a deterministic policy.
    :param vf_coef: weight of the critic's loss, 0.2 to 1. Higher favours the critic in what it shares with the actor.
    :param max_grad_norm: larger gradients are scaled to this norm, 0.5 to 5
    :param use_sde: state-dependent exploration, for continuous actions
    :param sde_sample_freq: steps between new noise of ``use_sde``; -1: one per rollout. Higher gives smoother actions.
    :param target_kl: an update stops at 1.5 times this divergence from the old policy, 0.01 to 0.2; None: no limit
    :param seq_len: chunk length in steps, which limits how far gradients reach back; 16 to 128. ``n_steps`` and
        ``batch_size`` must be multiples of it. None takes their largest common divisor up to 32.
    :param min_advantage_std: smallest divisor of normalised advantages, in the unit of the rewards; 0 to 0.1. When a
        task is solved, all advantages are noise, and scaled to size one they would spoil the policy. Higher slows
        learning where rewards are small.
    :param kickstart_coef: weight of the penalty on leaving the initial policy, a number from 0 to 3 or a schedule; for
        pretrained weights (:mod:`rl_larnn.agents.components.teacher`). Higher keeps the policy longer. It logs
        ``memory/teacher_kl``.
    :param device: and every other argument: as in ``sb3_contrib.RecurrentPPO``
    :raises ValueError: for sizes that do not divide, naming the nearest that do; for unsupported spaces; for options
        out of range
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
        given = dict(locals())  # all arguments; those of the base class are passed on
        for name in ("self", "__class__", "seq_len", "min_advantage_std", "kickstart_coef"):
            del given[name]
        super().__init__(**{**given, "_init_setup_model": False})
        self.seq_len = seq_len
        self.min_advantage_std = min_advantage_std
        self.kickstart_coef = kickstart_coef
        self.teacher: Teacher | None = None
        self._last_state: PolicyState | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        checks.check_options(self)
        if self.batch_size is None:
            self.batch_size = self.n_steps * self.n_envs
        self.seq_len = checks.choose_seq_len(self.seq_len, self.n_steps, self.batch_size)
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        policy = self.policy_class(
            self.observation_space, self.action_space, self.lr_schedule, use_sde=self.use_sde, **self.policy_kwargs
        )
        self.policy = checks.check_policy(policy, self.observation_space).to(self.device)
        self.teacher = Teacher(self.policy, self.kickstart_coef) if self.kickstart_coef else None
        options: dict[str, Any] = dict(n_envs=self.n_envs, gamma=self.gamma, gae_lambda=self.gae_lambda)
        self.rollout_buffer = ChunkBuffer(
            self.n_steps, self.observation_space, self.action_space, self.seq_len, self.device, **options
        )
        self.clip_range = FloatSchedule(self.clip_range)
        if self.clip_range_vf is not None:
            self.clip_range_vf = FloatSchedule(self.clip_range_vf)

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        checks.check_removed_options(self)
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
        """Fill the buffer with ``n_rollout_steps`` steps of every environment.

        :return: False if a callback stops the training
        :raises NonFiniteError: at a NaN or infinite observation or reward, naming environment and step
        """
        assert self._last_obs is not None
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        if self._last_state is None or len(leaves(self._last_state)[0]) != env.num_envs:
            self._last_state = self.policy.initial_state(env.num_envs)
            self._last_episode_starts = np.ones(env.num_envs, dtype=bool)
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
            continues = callback.on_step()
            self._update_info_buffer(infos, dones)
            rewards = self._bootstrap_truncated(rewards, dones, infos, state)
            rollout_buffer.add(obs, actions, rewards, starts, values, log_probs, self._last_state)
            self._last_obs = new_obs  # type: ignore[assignment]
            self._last_episode_starts, self._last_state = dones, state
            if not continues:
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
        """The actions for the environment: unscaled if the policy squashes them, else clipped to the bounds."""
        if not isinstance(self.action_space, spaces.Box):
            return actions
        if self.policy.squash_output:
            return self.policy.unscale_action(actions)
        return np.clip(actions, self.action_space.low, self.action_space.high)

    def _bootstrap_truncated(
        self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict[str, Any]], state: PolicyState
    ) -> np.ndarray:
        """Add the discounted value of the last observation where a time limit ended the episode.

        The observation is read with the memory of its own episode: the state after the step, no start.
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
                "fix the environment or clip what it returns"
            )
        rewards = rewards.copy()
        rewards[cut] += self.gamma * values
        return rewards

    def _check_finite(self, obs: VecEnvObs, rewards: np.ndarray) -> None:
        """Check the data before normalisation, which would spread one NaN over all environments."""
        normalizer = self.get_vec_normalize_env()
        if normalizer is not None:
            obs, rewards = normalizer.get_original_obs(), normalizer.get_original_reward()  # type: ignore[assignment]
        checks.check_finite(obs, rewards, self.num_timesteps)

    def _log_memory(self) -> None:
        assert self._last_state is not None
        for name, state in self._last_state._asdict().items():
            packed = pack(state)
            if packed.numel():
                self.logger.record(f"memory/{name}_state_rms", packed.square().mean().sqrt().item())

    # ------------------------------------------------------------------ learning

    def train(self) -> None:
        """Update the policy on the rollout in the buffer.

        :raises NonFiniteError: if a loss or weight is not finite (a learning rate too high, rewards out of scale)
        """
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        progress = self._current_progress_remaining
        clip_range = self.clip_range(progress)  # type: ignore[operator]
        clip_range_vf = None if self.clip_range_vf is None else self.clip_range_vf(progress)  # type: ignore[operator]
        if self.teacher is not None:
            self.teacher.start_update(progress)
        records = self._run_epochs(clip_range, clip_range_vf)
        if not checks.all_finite(self.policy.parameters()):
            raise NonFiniteError(self._divergence("the weights"))  # the losses precede the last step
        self._log_training(records, clip_range, clip_range_vf)

    def _run_epochs(self, clip_range: float, clip_range_vf: float | None) -> Tensor:
        """Train on the rollout until ``n_epochs`` or ``target_kl`` is reached; one row of losses per minibatch."""
        parameters = list(self.policy.parameters())
        records: list[Tensor] = []  # on the device, read once at the end
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
        """The loss of one minibatch, and its record: losses of policy, value and entropy, KL, clipped share, total."""
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
        # Without a closed form, the entropy is estimated by the mean log-probability of the actions.
        entropy_loss = log_prob.mean() if entropy is None else -entropy.mean()
        loss = policy_loss + self.vf_coef * value_loss
        if self.ent_coef != 0:
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
        if not np.isfinite(records.sum().item()):
            raise NonFiniteError(self._divergence(f"policy loss {policy_loss:.3g}, value loss {value_loss:.3g}"))
        buffer = self.rollout_buffer
        explained = explained_variance(buffer.values.flatten().cpu().numpy(), buffer.returns.flatten().cpu().numpy())
        logged = dict(entropy_loss=entropy_loss, policy_gradient_loss=policy_loss, value_loss=value_loss, approx_kl=kl)
        logged |= dict(clip_fraction=clip_fraction, loss=records[-1, 5].item(), explained_variance=explained)
        if hasattr(self.policy, "log_std"):
            logged["std"] = torch.exp(self.policy.log_std).mean().item()
        logged["clip_range"] = clip_range
        if clip_range_vf is not None:
            logged["clip_range_vf"] = clip_range_vf
        for name, value in logged.items():
            self.logger.record(f"train/{name}", value)
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

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
        """As in SB3, also for an archive with another ``kickstart_coef``."""
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
