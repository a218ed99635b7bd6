"""DC's wiring: gradient matching under its own settings."""

from functools import partial

from wmdd.methods.algorithm import Algorithm
from wmdd.methods.dc import DcSettings
from wmdd.methods.kits.gradients import distill_with, matching_work

ALGORITHM = Algorithm(distill=partial(distill_with, DcSettings), work=partial(matching_work, DcSettings))
