"""DSA's wiring: gradient matching under its own settings."""

from functools import partial

from wmdd.methods.algorithm import Algorithm
from wmdd.methods.dsa import DsaSettings
from wmdd.methods.kits.gradients import distill_with, matching_work

ALGORITHM = Algorithm(distill=partial(distill_with, DsaSettings), work=partial(matching_work, DsaSettings))
