"""Protocols: batch rules with known answers, and names that are found."""

import pytest

from wmdd.errors import ConfigError
from wmdd.protocols import PROTOCOLS, find_protocol


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
    assert protocol.settings(10, 10, epochs=7).epochs == 7
    assert protocol.settings(10, 10).zeta == 2.0
    assert protocol.training.batch != 50  # the table itself is left alone


def test_published_numbers() -> None:
    assert {name: protocol.training.epochs for name, protocol in PROTOCOLS.items()} == {
        "wmdd": 300,
        "sre2l": 300,
        "rded": 300,
        "rd3": 400,
        "hard": 300,
    }
    assert {protocol.training.optimiser for protocol in PROTOCOLS.values()} == {"adamw"}
    assert {name: protocol.labels for name, protocol in PROTOCOLS.items()} == {
        "wmdd": "stored",
        "sre2l": "stored",
        "rded": "online",
        "rd3": "online",
        "hard": "hard",
    }


def test_an_unknown_name_is_one_line_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="^unknown protocol; got 'sre2'; did you mean 'sre2l'\\?$"):
        find_protocol("sre2")
    with pytest.raises(ConfigError, match="choose one of hard, rd3, rded, sre2l, wmdd"):
        find_protocol("xyz")
