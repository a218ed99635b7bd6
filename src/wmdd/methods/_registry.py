"""The table of methods."""

from wmdd.methods._loading import load_plugin
from wmdd.methods._method import Method
from wmdd.methods.cda import CDA
from wmdd.methods.dc import DC
from wmdd.methods.dd import DD
from wmdd.methods.dm import DM
from wmdd.methods.dsa import DSA
from wmdd.methods.gvbsm import GVBSM
from wmdd.methods.herding import HERDING
from wmdd.methods.k_center import K_CENTER
from wmdd.methods.k_means import K_MEANS
from wmdd.methods.kip import KIP
from wmdd.methods.ls import LS
from wmdd.methods.mmd import MMD
from wmdd.methods.mtt import MTT
from wmdd.methods.names import check_method
from wmdd.methods.random import RANDOM
from wmdd.methods.rded import RDED
from wmdd.methods.scdd import SCDD
from wmdd.methods.sre2l import SRE2L
from wmdd.methods.wmdd import WMDD

_TABLE = {
    method.name: method
    for method in (
        WMDD,
        RANDOM,
        HERDING,
        K_CENTER,
        K_MEANS,
        RDED,
        DC,
        DSA,
        DM,
        DD,
        MTT,
        KIP,
        LS,
        SRE2L,
        CDA,
        MMD,
        SCDD,
        GVBSM,
    )
}


def find_method(name: str) -> Method:
    """Return the method called `name`.

    Raises:
        ConfigError: there is none, and the message names the nearest; or it is another package's, and broken.
    """
    check_method(name)
    return _TABLE[name] if name in _TABLE else load_plugin(name)
