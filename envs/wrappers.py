"""All wrappers in one place.

corruption.py and freezing.py take information away, cues.py gives some back, conditioning.py says what is wanted,
reshaping.py changes the form.
"""

from rl_larnn.envs.conditioning import ReturnToGo, StepNumber
from rl_larnn.envs.corruption import FlickerObservation, MaskObservation, NoisyObservation
from rl_larnn.envs.cues import FirstStepFlag, PreviousAction
from rl_larnn.envs.freezing import FreezeObservation
from rl_larnn.envs.reshaping import HideInfo, ObjectsInView, SelectActions, StatePart, VectorObservation

__all__ = [
    "FirstStepFlag",
    "FlickerObservation",
    "FreezeObservation",
    "HideInfo",
    "MaskObservation",
    "NoisyObservation",
    "ObjectsInView",
    "PreviousAction",
    "ReturnToGo",
    "SelectActions",
    "StatePart",
    "StepNumber",
    "VectorObservation",
]
