"""Collecting datasets of a level of skill.

The levels are D4RL's: random, medium, medium-replay, medium-expert and expert; and ``mixed``, in which each episode is
the expert's with a probability, else random. Behaviours of a masked task act with everything visible, and their
episodes are stored twice: unmasked, and as the masked task shows them.
"""

from __future__ import annotations

from stable_baselines3.common.utils import set_random_seed

from rl_larnn.agents.behaviours.config import CollectConfig, CollectionEnv, find_collection_env
from rl_larnn.agents.behaviours.folder import REFERENCE_EPISODES, mean_return
from rl_larnn.agents.behaviours.level_behaviours import Behaviours, find_behaviours
from rl_larnn.agents.behaviours.storing import Part, StoredDataset, find_stored_plain, store_masked, store_plain
from rl_larnn.agents.reporting.reporter import SILENT, Reporter
from rl_larnn.agents.settings.environments import derived_seed
from rl_larnn.envs.datasets import Amount, Behaviour, Episode, References, collect, episode_seed, mixed_behaviour
from rl_larnn.errors import UserError


def collect_datasets(config: CollectConfig, reporter: Reporter = SILENT) -> list[StoredDataset]:
    """Collect a level and store it; of a masked task first the unmasked dataset, then the masked one.

    :return: what was stored, the dataset of ``config.env`` last
    :raises UserError: for a mistake in the config, and for agents that are missing or don't fit
    """
    env, amount = find_collection_env(config), config.amount
    plain = find_stored_plain(config, env)
    if plain is None:
        behaviours = find_behaviours(config, env, reporter)
        references = behaviours.references or _measure_references(behaviours, config, env, reporter)
        parts = _collect_parts(behaviours, amount, config, env, reporter)
        plain = store_plain(parts, references, behaviours.record, config, env)
    return [plain] if env.mask is None else [plain, store_masked(plain, config, env)]


def _measure_references(
    behaviours: Behaviours, config: CollectConfig, env: CollectionEnv, reporter: Reporter
) -> References:
    """Mean returns of random play and of the expert, always on the same episodes for a seed."""
    amount, means = Amount(episodes=config.reference_episodes or REFERENCE_EPISODES), []
    for number, behaviour in enumerate((behaviours.random, behaviours.expert)):
        seed = derived_seed(config.seed, 7, number)
        means.append(mean_return(_collect(behaviour, amount, seed, env, reporter, "measuring the references")))
    if not means[1] > means[0]:
        raise UserError(f"the expert's mean return, {means[1]:g}, is not above that of random play, {means[0]:g}")
    return References(*means)


def _collect_parts(
    behaviours: Behaviours, amount: Amount, config: CollectConfig, env: CollectionEnv, reporter: Reporter
) -> list[Part]:
    """The episodes of a level; where two behaviours share it, those of the first come first."""
    if config.level == "medium-replay":
        assert behaviours.replay is not None
        record = {"policy": "training up to medium", "algorithm_name": behaviours.expert.record["algorithm_name"]}
        return [Part(list(behaviours.replay.episodes), [], record)]
    known = {"random": behaviours.random, "medium": behaviours.medium, "expert": behaviours.expert}
    if config.level == "mixed":
        known["mixed"] = mixed_behaviour(behaviours.expert, env.spaces()[1], config.share, config.seed)
    names = config.level.split("-")
    own = amount.half if len(names) == 2 else amount
    parts = []
    for number, name in enumerate(names):
        behaviour, seed = known[name], derived_seed(config.seed, 6, number)
        assert behaviour is not None
        episodes = _collect(behaviour, own, seed, env, reporter, "collecting")
        seeds = [episode_seed(seed, i) for i in range(len(episodes))]
        parts.append(Part(episodes, seeds, {**behaviour.record, "episodes": len(episodes)}))
    return parts


def _collect(
    behaviour: Behaviour, amount: Amount, seed: int, env: CollectionEnv, reporter: Reporter, title: str
) -> list[Episode]:
    set_random_seed(seed)
    with reporter.progress(amount.steps, "steps", title=title) as bar:
        return collect(env.make, behaviour, amount, seed, on_steps=bar.advance)
