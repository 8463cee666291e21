"""Wrappers, one file for each family: what they do to observations and actions.

corruption.py and freezing.py take information away, cues.py gives some back, conditioning.py tells the agent the return
that is wanted, reshaping.py changes the form of observations and actions. joining.py is their common part.
"""

from rl_larnn.envs.wrappers.conditioning import ReturnToGo, StepNumber
from rl_larnn.envs.wrappers.corruption import FlickerObservation, MaskObservation, NoisyObservation
from rl_larnn.envs.wrappers.cues import FirstStepFlag, PreviousAction
from rl_larnn.envs.wrappers.freezing import FreezeObservation
from rl_larnn.envs.wrappers.reshaping import HideInfo, ObjectsInView, SelectActions, StatePart, VectorObservation

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
