"""One episode of an agent as an mp4 file."""

from __future__ import annotations

import importlib.util
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium as gym
from gymnasium.wrappers import RecordVideo
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl_larnn.agents.evaluation.evaluate import evaluate
from rl_larnn.agents.evaluation.load import LoadedRun
from rl_larnn.agents.runs.folder import NORMALIZATION
from rl_larnn.agents.settings.environments import derived_seed, load_normalization, make_env
from rl_larnn.errors import UserError, one_line


def record_video(
    run: LoadedRun, seed: int | None = None, deterministic: bool = True, target_return: float | None = None
) -> Path:
    """Record one fresh episode into ``videos/`` of the run folder.

    :param seed: of the episode; ``None``: that of the evaluation's first one
    :param target_return: the target return, if another than in the run
    :return: the file, ``episode-1.mp4`` or the first free number
    :raises UserError: if moviepy is missing, or the environment cannot be rendered
    """
    if importlib.util.find_spec("moviepy") is None:
        raise UserError("recording a video needs moviepy: pip install 'rl-larnn[video]'")
    (run.folder / "videos").mkdir(exist_ok=True)
    path = next(path for number in count(1) if not (path := run.folder / "videos" / f"episode-{number}.mp4").exists())
    with TemporaryDirectory(dir=path.parent) as temporary:
        # A folder that is not there yet: Gymnasium warns about any other.
        folder = Path(temporary) / "recorded"

        def make() -> VecEnv:
            recorded = DummyVecEnv([lambda: Monitor(_recorded(run, folder, target_return))])
            env = load_normalization(run.source / NORMALIZATION, recorded, training=False)
            env.seed(derived_seed(run.settings.seed, 0) if seed is None else seed)
            return env

        try:
            evaluate(run.model, make, 1, deterministic)  # closing the environment writes the file
        except gym.error.DependencyNotInstalled as error:
            raise UserError(f"recording a video: {one_line(error)}; pip install 'rl-larnn[video]'") from error
        return next(folder.glob("*.mp4")).rename(path)


def _recorded(run: LoadedRun, folder: Path, target_return: float | None) -> gym.Env:
    settings = run.settings
    env = make_env(settings.env, settings.env_kwargs, run.recipe(target_return), render_mode="rgb_array")
    if env.render_mode != "rgb_array":
        env.close()
        raise UserError(f"the environment {settings.env} cannot be rendered as images (render_mode rgb_array)")
    # A renderer that is not installed shows at the first frame; better here than in the middle of a recording.
    env.reset()
    env.render()
    return RecordVideo(env, str(folder), episode_trigger=lambda episode: episode == 0)
