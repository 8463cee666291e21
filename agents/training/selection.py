"""Final selection: which of the best checkpoints is the agent of a run? All play the same fresh episodes.

Evaluations during training are short, and whoever wins one of twenty was lucky as well as good. Episodes that all begin
alike tell them apart with much less noise.
"""

from __future__ import annotations

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.runs.folder import MODEL, NORMALIZATION
from rl_larnn.agents.runs.randomness import derived_seed
from rl_larnn.agents.settings.environments import load_normalization, make_environments
from rl_larnn.agents.settings.models import load_model
from rl_larnn.agents.training.session import Session
from rl_larnn.agents.training.top_checkpoints import TopCheckpoint, top_checkpoints

#: Episodes that each of them plays, all side by side.
EPISODES = 50


def final_selection(session: Session) -> dict[TopCheckpoint, float]:
    """The mean return of each of the best checkpoints, the best first, the later of equals; empty if none were kept.

    :raises UserError: if what was kept is damaged
    """
    kept, settings = top_checkpoints(session.folder), session.settings
    if len(kept) < 2:
        return {checkpoint: checkpoint.mean_return for checkpoint in kept}
    seed = derived_seed(settings.seed, session.learner.done, 3)
    env = make_environments(settings.env, settings.env_kwargs, settings.recipe, EPISODES, seed)
    try:
        means = {}
        for checkpoint in kept:
            model = load_model(checkpoint.folder / MODEL, None, settings.device, settings.algorithm)
            env.seed(seed)
            normal = load_normalization(checkpoint.folder / NORMALIZATION, env, training=False)
            means[checkpoint] = evaluate(model, normal, EPISODES).mean
    finally:
        env.close()
    ranked = sorted(kept, key=lambda checkpoint: (means[checkpoint], checkpoint.steps), reverse=True)
    return {checkpoint: means[checkpoint] for checkpoint in ranked}
