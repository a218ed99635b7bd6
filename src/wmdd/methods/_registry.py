"""The table of methods."""

from wmdd.methods._loading import load_plugin
from wmdd.methods._method import Method
from wmdd.methods.cda.wiring import CDA
from wmdd.methods.dc.wiring import DC
from wmdd.methods.dd.wiring import DD
from wmdd.methods.dm.wiring import DM
from wmdd.methods.dsa.wiring import DSA
from wmdd.methods.gvbsm.wiring import GVBSM
from wmdd.methods.herding.wiring import HERDING
from wmdd.methods.k_center.wiring import K_CENTER
from wmdd.methods.k_means.wiring import K_MEANS
from wmdd.methods.kip.wiring import KIP
from wmdd.methods.ls.wiring import LS
from wmdd.methods.mmd.wiring import MMD
from wmdd.methods.mtt.wiring import MTT
from wmdd.methods.names import check_method
from wmdd.methods.random.wiring import RANDOM
from wmdd.methods.rded.wiring import RDED
from wmdd.methods.scdd.wiring import SCDD
from wmdd.methods.sre2l.wiring import SRE2L
from wmdd.methods.wmdd.wiring import WMDD

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
