"""Which agent of a run is its best? The candidates play the same fresh episodes.

Trials during training are short, and whoever wins one of twenty was lucky as well as good. Episodes that all candidates
begin alike tell them apart with much less noise.
"""

from __future__ import annotations

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.agents.runs.state import Session
from rl_larnn.agents.settings.environments import load_normalization, make_environments
from rl_larnn.agents.settings.models import load_model
from rl_larnn.agents.training.top_checkpoints import Candidate, candidates

#: Episodes that each candidate plays, all side by side.
EPISODES = 50


def play_off(session: Session) -> dict[Candidate, float]:
    """The mean return of each candidate, the best first, the later of equals; empty where no trials were held.

    :raises UserError: if what was kept is damaged
    """
    playing, settings = candidates(session.folder), session.settings
    if len(playing) < 2:
        return {candidate: candidate.mean_return for candidate in playing}
    seed = derived_seed(settings.seed, session.model.num_timesteps, 3)
    env = make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)
    try:
        means = {}
        for candidate in playing:
            model = load_model(candidate.folder / MODEL, None, settings.device, settings.algorithm)
            env.seed(seed)
            seen = load_normalization(candidate.folder / NORMALIZATION, env, training=False)
            means[candidate] = evaluate(model, seen, EPISODES).mean
    finally:
        env.close()
    ranked = sorted(playing, key=lambda candidate: (means[candidate], candidate.steps), reverse=True)
    return {candidate: means[candidate] for candidate in ranked}
