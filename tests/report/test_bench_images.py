"""Images of a bench's rows: which set, which classes, which image; and what is not there."""

import io
from pathlib import Path

import numpy as np
import pytest
from bench_results import make_bench
from PIL import Image

import wmdd
from wmdd.errors import ArtifactError
from wmdd.product.image_rows import read_pictures, read_rows
from wmdd.product.manifest import open_product
from wmdd.report.bench import read_bench, summary
from wmdd.report.bench_images import draw_images, read_images
from wmdd.report.bench_page import render_bench, write_bench


@pytest.fixture(scope="module")
def bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    out = place / "out"
    return wmdd.bench(
        "digits", recipe="paper_images_smoke", ipcs=(1, 2), methods=("wmdd",), distill_seeds=2, out=out, store=place
    ).out


def test_the_heaviest_image_of_each_class_of_the_first_set_at_the_largest_number(bench_folder: Path) -> None:
    rows = read_images(bench_folder, read_bench(bench_folder))
    assert [(row.name, row.ipc, row.seed) for row in rows] == [("random", 2, 0), ("wmdd", 2, 0)]
    product = open_product(bench_folder / "cells" / "wmdd-ipc2-seed0" / "distilled")
    weights = read_rows(product).weights.reshape(10, 2)
    pixels = dict(read_pictures(product))
    assert rows[1].classes == product.manifest.classes
    for label, shown in enumerate(rows[1].pictures):
        assert np.array_equal(np.asarray(shown), pixels[2 * label + int(weights[label].argmax())][0])


def test_the_page_and_the_picture_have_a_line_for_each_row(bench_folder: Path) -> None:
    rows = read_images(bench_folder, read_bench(bench_folder))
    page = (bench_folder / "bench.html").read_text(encoding="utf-8")
    assert page.count('class="row-images"') == 2
    assert page.count('role="img" aria-label="WMDD, ') == 10
    with Image.open(io.BytesIO((bench_folder / "images.png").read_bytes())) as sheet:
        assert sheet.height == 2 * 50
        left = sheet.width - 10 * 50
        drawn = np.asarray(sheet.convert("L"))[50:98, left : left + 48]
    wanted = rows[1].pictures[0].convert("RGB").convert("L").resize((48, 48), Image.Resampling.NEAREST)
    assert np.array_equal(drawn, np.asarray(wanted))
    assert draw_images(rows) == (bench_folder / "images.png").read_bytes()


def test_a_bench_without_its_sets_has_no_images(tmp_path: Path) -> None:
    bench = summary(make_bench())
    assert read_images(tmp_path, bench) == []
    assert "row-images" not in render_bench(bench)["bench.html"].split("</style>")[1]


def test_damaged_images_are_named(bench_folder: Path) -> None:
    (table,) = (bench_folder / "cells" / "wmdd-ipc2-seed0" / "distilled" / "data").glob("*.parquet")
    whole = table.read_bytes()
    table.chmod(0o644)
    table.write_bytes(whole[:-1])
    with pytest.raises(ArtifactError, match=r"train-.*\.parquet"):
        write_bench(bench_folder)
