"""Settings shared by all tests: one thread, and property-based tests that draw the same examples every time."""

from __future__ import annotations

import os

import torch
from hypothesis import Phase, settings

# Where there is no GPU, Triton's interpreter runs its kernels on the CPU. It looks at this when it is imported.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Sizes are tiny: more threads only wait for each other.
torch.set_num_threads(1)

# No shrinking: examples are small to begin with, and shrinking a failure here takes minutes.
settings.register_profile(
    "laws", derandomize=True, deadline=None, database=None, max_examples=20, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("laws")
