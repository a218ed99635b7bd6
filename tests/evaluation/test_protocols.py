"""Protocols: batch rules with known answers, and names that are found."""

import pytest

from wmdd.errors import ConfigError
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.protocols import PROTOCOLS


@pytest.mark.parametrize(
    ("name", "ipc", "classes", "expected"),
    [
        ("wmdd", 1, 10, 10),
        ("wmdd", 10, 10, 100),
        ("wmdd", 50, 200, 100),
        ("sre2l", 10, 10, 100),
        ("sre2l", 50, 200, 1024),
        ("rded", 1, 10, 10),
        ("rded", 10, 10, 50),
        ("rded", 50, 10, 100),
        ("rded", 100, 10, 100),
        ("rded", 1, 100, 20),
        ("rded", 10, 100, 100),
        ("rded", 50, 1000, 200),
        ("rd3", 1, 10, 10),
        ("rd3", 10, 10, 50),
        ("hard", 10, 10, 100),
        ("hard", 50, 10, 128),
        ("cda", 50, 10, 128),
        ("gvbsm", 50, 200, 1024),
        ("edc", 1, 10, 10),
        ("edc", 10, 10, 50),
        ("edc", 10, 1000, 100),
        ("fadrm", 10, 10, 16),
        ("cim", 10, 10, 50),
        ("dc", 10, 10, 100),
        ("dc", 50, 10, 256),
    ],
)
def test_batches_have_known_sizes(name: str, ipc: int, classes: int, expected: int) -> None:
    assert find_protocol(name).batch(ipc, classes) == expected


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_protocol_is_whole(name: str) -> None:
    protocol = find_protocol(name)
    assert protocol.name == name
    assert protocol.source
    assert protocol.summary
    assert protocol.temperature > 0
    assert [upto for upto, _ in protocol.batches] == sorted(upto for upto, _ in protocol.batches)
    for ipc in (1, 2, 10, 50, 200):
        for classes in (2, 10, 99, 100, 1000):
            assert 1 <= protocol.batch(ipc, classes) <= ipc * classes


def test_settings_carry_the_batch_and_the_epochs_asked_for() -> None:
    protocol = find_protocol("rded")
    assert (protocol.settings(10, 10).batch, protocol.settings(10, 10).epochs) == (50, 300)
    assert protocol.with_(epochs=7, batch=None).settings(10, 10).epochs == 7
    other = protocol.with_(epochs=None, batch=20)
    assert [other.batch(ipc, classes) for ipc, classes in ((1, 10), (10, 10), (50, 1000))] == [10, 20, 20]
    assert protocol.with_(epochs=None, batch=None) == protocol
    assert protocol.settings(10, 10).zeta == 2.0
    assert protocol.training.batch != 50  # the table itself is left alone


def test_published_numbers() -> None:
    epochs = {name: protocol.training.epochs for name, protocol in PROTOCOLS.items()}
    assert {name: count for name, count in epochs.items() if count != 300} == {
        "rd3": 400, "dc": 1000, "dc_noaug": 1000, "own": 1000, "kernel": 1, "kernel_conv": 1
    }  # fmt: skip
    of_sgd = {name for name, protocol in PROTOCOLS.items() if protocol.training.optimiser == "sgd"}
    assert of_sgd == {"dc", "dc_plain", "dc_noaug", "own", "kernel", "kernel_conv"}
    kinds = ("stored", "online", "hard")
    assert {kind: {each.name for each in PROTOCOLS.values() if each.labels == kind} for kind in kinds} == {
        "stored": {"wmdd", "sre2l", "cda", "gvbsm", "lpqld", "hald"},
        "online": {"rded", "rded_mosaic", "rded_whole", "edc", "fadrm", "rd3", "cim"},
        "hard": {"hard", "dc", "dc_plain", "dc_noaug", "own", "kernel", "kernel_conv"},
    }
    half = {name for name, protocol in PROTOCOLS.items() if protocol.training.zeta == 2}
    assert half == {"rded", "rded_mosaic", "rded_whole", "edc", "fadrm", "hald"}
    squared = {name: protocol.class_weight for name, protocol in PROTOCOLS.items() if protocol.loss == "mse"}
    assert squared == {"gvbsm": 0.1, "edc": 0.025, "cim": 0.0}
    assert {name: protocol.tiles for name, protocol in PROTOCOLS.items() if protocol.tiles > 1} == {
        "rded_mosaic": 2, "edc": 2
    }  # fmt: skip
    assert PROTOCOLS["edc"].training.ema == 0.99
    assert [name for name, protocol in PROTOCOLS.items() if protocol.batch_statistics] == ["fadrm"]
    assert {name for name, protocol in PROTOCOLS.items() if protocol.dsa != "none"} == {"cim", "dc", "own"}


def test_lpqlds_temperature_falls_as_published() -> None:
    lpqld = PROTOCOLS["lpqld"]
    found = [lpqld.temperature_in(30 * step, 300, 20.0) for step in range(10)]
    assert found == pytest.approx([20, 14, 9.8, 6.86, 4.802, 3.3614, 2.35298, 2, 2, 2])
    assert lpqld.temperature_in(29, 300, 20.0) == 20
    assert [lpqld.temperature_in(epoch, 20, 20.0) for epoch in (0, 1, 2)] == pytest.approx([20, 20, 14])


def test_halds_middle_half_has_hard_labels() -> None:
    hald = PROTOCOLS["hald"]
    assert hald.hard_epochs(300) == range(75, 225)
    assert hald.soft_epochs(300, 300) == 150
    assert hald.soft_epochs(230, 300) == 80
    assert hald.epochs_for(150, 300) == 300
    assert hald.epochs_for(20, 300) == max(n for n in range(1, 301) if hald.soft_epochs(n, n) <= 20)
    assert PROTOCOLS["wmdd"].epochs_for(7, 300) == 7


def test_an_unknown_name_is_one_line_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="^unknown protocol; got 'sre2'; did you mean 'sre2l'\\?$"):
        find_protocol("sre2")
    with pytest.raises(ConfigError, match="choose one of cda, cim, dc, .*, sre2l, wmdd$"):
        find_protocol("xyz")
