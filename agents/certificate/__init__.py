"""Does an environment need memory, does an agent use its own, how far back, and how much is left to gain?"""

from rl_larnn.agents.certificate.certificate import Certificate
from rl_larnn.agents.certificate.certify import certify
from rl_larnn.agents.certificate.report import paragraph, save_certificate

__all__ = ["Certificate", "certify", "paragraph", "save_certificate"]
