"""A verdict on an environment and an agent: is memory needed, is it used, how far back, and how much is left?"""

from rl_larnn.agents.certificate.certificate import Certificate
from rl_larnn.agents.certificate.certify import certify
from rl_larnn.agents.certificate.report import paragraph, save_certificate

__all__ = ["Certificate", "certify", "paragraph", "save_certificate"]
