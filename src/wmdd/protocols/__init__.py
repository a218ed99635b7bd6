"""How students are trained and tested, as data: two results are comparable only under one protocol.

Sources are the methods' own papers and scripts. Every protocol reports the accuracy after the last epoch.
"""

from wmdd.protocols._protocol import FULL_DATA_SET, EvaluationProtocol
from wmdd.protocols._table import PROTOCOLS, find_protocol

__all__ = ["FULL_DATA_SET", "PROTOCOLS", "EvaluationProtocol", "find_protocol"]
