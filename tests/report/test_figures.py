"""Drawings: same bytes for same plots, own ids, the page's colours; sprites pixel by pixel."""

import base64
import io
import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from wmdd.report.collect import Plot, Series
from wmdd.report.figures import alternative, draw, sprite


def plot(key: str = "one", *, log: bool = False, name: str = "loss", top: float = 9.0) -> Plot:
    line = Series(name=name, x=(0, 1, 2), y=(top, 4.0, 3.0), low=(top - 1, 3.0, 2.0), high=(top + 1, 5.0, 4.0), units=2)
    other = Series(name="random", x=(0, 1, 2), y=(5.0, 5.0, 5.0), baseline=True)
    return Plot(key=key, title="T & C", note="", x_label="step", y_label="loss", series=(line, other), log=log,
                level=("floor", 2.5))  # fmt: skip


@pytest.mark.parametrize(("log", "top"), [(False, 9.0), (True, 9.0), (True, 9e4), (True, 5.5)])
def test_drawing_is_wellformed_and_deterministic(log: bool, top: float) -> None:
    first, second = (draw(plot(log=log, top=top)) for _ in range(2))
    assert first.svg == second.svg
    ET.fromstring(first.svg)
    assert "http" not in first.svg
    assert "<style" not in first.svg
    assert "DejaVu" not in first.svg


@pytest.mark.parametrize("names", [("猫", "🦊 fox"), ("עברית", "ไทย"), ("a\x01b", "$x$")])
def test_class_names_that_the_plotting_font_lacks_are_left_to_the_browser(names: tuple[str, str]) -> None:
    line = Series(name=names[0], x=(0, 1), y=(2.3, 2.1))
    svg = draw(Plot(key="k", title="", note="", x_label="class", y_label="", series=(line,), tick_labels=names)).svg
    assert all(f">{name}</text>" in svg for name in names)


def test_flat_losses_still_get_ticks_on_a_logarithmic_axis() -> None:
    line = Series(name="loss", x=(0, 1), y=(2.3, 2.1))
    svg = draw(Plot(key="flat", title="", note="", x_label="", y_label="", series=(line,), log=True)).svg
    assert len(re.findall(r">2\.\d+</text>", svg)) >= 3


def test_ids_do_not_collide_and_references_resolve() -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', draw(plot(key)).svg)) for key in ("one", "two")]
    assert not ids[0] & ids[1]
    svg = draw(plot("one")).svg
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= ids[0]


def test_colours_come_from_the_page() -> None:
    svg = draw(plot()).svg
    assert not re.search(r"#0[0-9]0[0-9]0[0-9]", svg)
    for variable in ("--series-0", "--reference", "--level", "--muted", "--line"):
        assert f"var({variable})" in svg


def test_names_are_escaped_and_no_mathematics() -> None:
    svg = draw(plot(name="<b>$x$</b>")).svg
    assert "<b>" not in svg
    assert "T &amp; C" in svg


def test_settings_of_matplotlib_stay_as_they_were_and_do_not_matter() -> None:
    expected = draw(plot()).svg
    with mpl.rc_context({"lines.linewidth": 9, "font.size": 30}):
        assert draw(plot()).svg == expected
        assert mpl.rcParams["font.size"] == 30


def test_the_legend_carries_the_numbers() -> None:
    first, second, floor = draw(plot()).legend
    assert (first.first, first.lowest, first.highest, first.last) == (9, 3, 9, 3)
    assert (first.dash, second.dash) == ("solid", "dashed")
    assert (floor.name, floor.last) == ("floor", 2.5)


def test_alternative_text_tells_start_and_end() -> None:
    assert "loss from 9 at step 0 to 3 at step 2" in alternative(plot())
    assert "floor at 2.5" in alternative(plot())


def decoded(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_small_sprites_are_exact(shape: tuple[int, ...]) -> None:
    cells = [np.random.default_rng(k).integers(0, 256, shape, dtype=np.uint8) for k in range(3)]
    address = sprite([Image.fromarray(cell) for cell in cells])
    assert address.startswith("data:image/png;base64,")
    assert np.array_equal(np.asarray(decoded(address)), np.concatenate(cells, axis=1))


def test_large_sprites_are_reduced() -> None:
    address = sprite([Image.new("RGB", (224, 224), colour) for colour in ("red", "blue")])
    assert address.startswith("data:image/jpeg;base64,")
    strip = decoded(address)
    assert strip.size == (256, 128)
    left, right = strip.getpixel((60, 60)), strip.getpixel((190, 60))
    assert np.abs(np.subtract(left, (255, 0, 0))).max() < 4  # type: ignore[arg-type]
    assert np.abs(np.subtract(right, (0, 0, 255))).max() < 4  # type: ignore[arg-type]
