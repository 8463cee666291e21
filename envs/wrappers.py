"""All wrappers in one place: corruption.py takes information away, cues.py gives some back."""

from rl_larnn.envs.corruption import FlickerObservation, MaskObservation, NoisyObservation
from rl_larnn.envs.cues import FirstStepFlag, PreviousAction

__all__ = ["FirstStepFlag", "FlickerObservation", "MaskObservation", "NoisyObservation", "PreviousAction"]
