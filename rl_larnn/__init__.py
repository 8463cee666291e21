"""rl_larnn: memory for Stable-Baselines3.

A *memory* is how to start, how to step and how to scan (:mod:`rl_larnn.memory`); a *policy* puts one between
Stable-Baselines3's feature extractor and its heads (:mod:`rl_larnn.policies`); :class:`rl_larnn.agents.RecurrentPPO`
trains it; :mod:`rl_larnn.envs` holds the partially observable tasks.
"""

from importlib.metadata import version

__version__ = version("rl-larnn")
