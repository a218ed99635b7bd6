"""The page as a whole: complete, offline, reproducible, and there for unfinished and hostile runs too."""

import html
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from run_folders import make_diagnosis, make_metrics, score

from wmdd.cli.main import main
from wmdd.errors import ArtifactError
from wmdd.methods.catalogue import losses_of
from wmdd.report import verdict, write_report

MakeRun = Callable[..., Path]
VOID = {"meta", "link", "br", "img", "path", "use", "rect"}


class Structure(HTMLParser):
    """Collects tags, ids and references, and checks that tags close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.points_to: set[str] = set()
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        values = dict(attrs)
        if values.get("id"):
            self.ids[str(values["id"])] += 1
        self.points_to.update(str(values.get("aria-labelledby") or "").split())
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += f"{data} "


def page_of(run: Path) -> str:
    return write_report(run).read_text(encoding="utf-8")


def words(page: str) -> str:
    return " ".join(Structure(page).text.split())


def test_finished_run_has_everything(make_run: MakeRun) -> None:
    page = page_of(make_run(curves=True))
    text = words(page)
    assert verdict(make_metrics()) in text
    for expected in (
        "WMDD on digits, 2 images a class", "78.2 ± 1.1", "63.1 ± 2.0", "+15.1", "97.2", "78.7", "63.6", "97.5",
        "1,437", "360", "20 for 1,437 real ones (1.4 %)", "digit 9", "0.667", "0.333", "8 × 8 pixels",
        "Teacher accuracy", "Recovery losses", "Students: resnet18, wmdd", "Barycenter cost", "final cost 3.125",
        "best known 3.000 (k-means or this, 5 starts)", "In 50 % of the classes all weights are the same",
        "WMDD 20.0 16.0 1.25 32.0 4.25 50 % 1.50 17.5 0.0125 1,234", "random real images 30.0 16.0 1.88",
        "mean logits", "Cost of every class", "a bound in feature space",
        "not converged in every class", "20.5 s", "400 ms", "4 min 10 s", "1 h 03 min", "1 h 07 min",
        "12.3 kB", "6.8 MB", "wmdd distill digits --ipc 2", "abc1234", "0.1.0", "fp32", "torch 2.15.0",
        "checkpoint", "views.crop_min",
        "resnet18, resnet50",
    ):  # fmt: skip
        assert expected in text, expected
    assert "Unfinished" not in text
    assert page.count("<strong>78.2 ± 1.1</strong>") == 1


def test_page_stands_alone(make_run: MakeRun) -> None:
    page = page_of(make_run(curves=True))
    assert not re.search(r"https?:|<script|@import|file:", page)
    assert set(re.findall(r"url\((?!#)([^;,)]*)", page)) == {"data:image/png"}
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)


def test_page_is_accessible(make_run: MakeRun) -> None:
    page = page_of(make_run(curves=True))
    seen = Structure(page)
    assert seen.tags["h1"] == 1
    assert max(seen.ids.values()) == 1
    assert seen.points_to <= set(seen.ids)
    assert seen.tags["svg"] == 6
    assert len(re.findall(r'<svg [^>]*role="img" aria-labelledby="[^"]+"><title', page)) == 6
    assert page.count('role="img" aria-label="digit') == 20
    assert not re.search(r"<th(?![^>]*scope)[ >]", page)
    assert "prefers-color-scheme: dark" in page


def test_same_files_same_bytes(make_run: MakeRun) -> None:
    run = make_run()
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first
    assert not (run / "report.html.tmp").exists()


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    text = words(page_of(tmp_path))
    assert "No student has been evaluated yet." in text
    assert "accuracies, timings and sizes; curves; settings; images" in text
    assert "To repeat this run" not in text


@pytest.mark.parametrize("content", [(), ("notes.txt",), ("report.html",)])
def test_a_folder_that_is_no_run_gets_no_page(tmp_path: Path, content: tuple[str, ...]) -> None:
    for name in content:
        (tmp_path / name).write_text("mine")
    with pytest.raises(ArtifactError, match=r"^not the folder of a run; got [^\n]*$"):
        write_report(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine" for _ in content]


@pytest.mark.parametrize("part", ["metrics.json", "log.jsonl", "recipe.yaml", "distilled"])
def test_every_part_may_be_missing(make_run: MakeRun, part: str) -> None:
    text = words(page_of(make_run(without=(part,))))
    assert "Unfinished run." in text


@pytest.mark.parametrize(
    "part", ["data", "teacher", "barycenter", "diagnosis", "evaluations", "seconds", "bytes", "run"]
)
def test_every_part_of_the_metrics_may_be_missing(make_run: MakeRun, part: str) -> None:
    metrics = make_metrics()
    del metrics[part]
    assert "WMDD" in page_of(make_run(metrics=metrics))


def test_without_bounds_the_page_says_why(make_run: MakeRun) -> None:
    text = words(page_of(make_run(metrics=make_metrics(diagnosis={"wmdd": make_diagnosis(20.0, bounds=False)}))))
    assert "WMDD 20.0 16.0 1.25 32.0 4.25" in text
    assert "so no bound is given" in text
    assert "mean logits" not in text


def test_without_a_diagnosis_there_is_no_section(make_run: MakeRun) -> None:
    assert "Distance to the real features" not in words(page_of(make_run(metrics=make_metrics(diagnosis={}))))


def test_ranking_and_full_data_are_shown_where_they_are_known(make_run: MakeRun) -> None:
    names = {"student": "resnet18", "protocol": "wmdd", "labels": "soft"}
    known = {"set": "wmdd", **names, "ior": 0.151, "hlr": 0.4, "lrs": 0.2342}
    full = [score("full data", seed, 88.0 + seed, ipc=0, protocol="squeeze", labels="hard") for seed in (0, 1)]
    page = page_of(make_run("known", metrics=make_metrics(ranking=[known], full_data=full)))
    assert 'id="ranking"' in page
    assert '<td class="num">0.234</td><td class="num">–</td>' in page
    assert "resnet18 trained on all real images: 88.5 ± 0.7 %." in page
    only_gain = [{"set": "wmdd", **names, "ior": 0.151}]
    page = page_of(make_run("gain", metrics=make_metrics(ranking=only_gain)))
    assert 'id="ranking"' not in page
    assert "trained on all real images:" not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Barycenter with learned weights: final cost"),
        ({"objective": "wasserstein"}, "Barycenter with learned weights: final cost"),
        ({"objective": "mmd_rbf", "weights": None}, "Barycenter, objective mmd_rbf: final cost"),
        ({"objective": "kmeans"}, "Barycenter, objective kmeans: final cost"),
        ({"weights": None}, "Barycenter: final cost"),
    ],
)
def test_the_barycenter_says_its_objective_or_its_weights(
    make_run: MakeRun, changes: dict[str, str | None], said: str
) -> None:
    barycenter = make_metrics()["barycenter"] | changes
    assert said in words(page_of(make_run(metrics=make_metrics(barycenter=barycenter))))


def test_names_come_from_the_manifest_until_there_are_metrics(make_run: MakeRun) -> None:
    assert "name 9" in words(page_of(make_run(without=("metrics.json",))))


def test_unfinished_distilled_folder_is_not_opened(make_run: MakeRun) -> None:
    run = make_run()
    (run / "distilled/manifest.json").unlink()
    (run / "distilled/data/train-00000-of-00001.parquet").write_bytes(b"PAR1 torn")
    assert "Distilled images" not in words(page_of(run))


def test_torn_log_line_is_left_out_and_said(make_run: MakeRun) -> None:
    run = make_run()
    whole = page_of(run)
    with (run / "log.jsonl").open("a") as log:
        log.write('{"stage": "evaluate", "unit": "wmdd resn')
    torn = page_of(run)
    assert "1 line of log.jsonl could not be read and was left out" in torn
    assert whole.count("<svg") == torn.count("<svg")


def test_a_single_student_has_no_spread_and_only_the_highest_row_is_bold(make_run: MakeRun) -> None:
    evaluations = [score("wmdd", 0, 78.25), score("random", 0, 63.0)]
    page = page_of(make_run(metrics=make_metrics(evaluations=evaluations)))
    assert "one student: no error known" in page
    table = page[page.index('<table class="accuracy"') :]
    assert table.count("<strong>") == 1
    assert "±" not in table[: table.index("</table>")]


def test_worse_than_random_is_said_and_signed(make_run: MakeRun) -> None:
    evaluations = [score(of, s, v + s) for of, v in (("wmdd", 40.0), ("random", 50.0)) for s in range(2)]
    text = words(page_of(make_run(metrics=make_metrics(evaluations=evaluations))))
    assert "10.0 points worse" in text
    assert "−10.0 ± 0.0 points" in text


@pytest.mark.parametrize(
    ("method", "stages", "titles", "labels"),
    [
        ("dc", {"match_gradients": ("images", "step")}, ["Distillation loss"], ["distance of gradients"]),
        (
            "mtt",
            {"experts": ("expert-00000", "epoch"), "mtt": ("images", "step")},
            ["Expert loss", "Distillation loss"],
            ["in training", "distance from the expert, relative"],
        ),
    ],
)
def test_losses_of_matching_methods_are_drawn(
    make_run: MakeRun, method: str, stages: dict[str, tuple[str, str]], titles: list[str], labels: list[str]
) -> None:
    run = make_run(metrics=make_metrics(run={"method": method}))
    rows = [
        {"stage": stage, "unit": unit, axis: x, "loss": 1.0 / x}
        for stage, (unit, axis) in stages.items()
        for x in (1, 2, 3)
    ]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = page_of(run)
    assert re.findall(r"<figcaption><h3>(.*? loss)</h3>", page) == titles
    assert re.findall(r"loss: (.*?) from 1 at (?:step|epoch) 1 to 0.3333 at (?:step|epoch) 3", page) == labels


@pytest.mark.parametrize("method", ["scdd", "gvbsm"])
def test_terms_of_a_recovery_are_called_as_the_card_calls_them(make_run: MakeRun, method: str) -> None:
    run = make_run(metrics=make_metrics(run={"method": method}))
    columns = losses_of(method)
    rows = [{"stage": "invert", "unit": "classes 0 to 9", "step": x, **dict.fromkeys(columns, 1 / x)} for x in (1, 2)]
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = page_of(run)
    assert len(columns) > 2
    for label in columns.values():
        assert f"{label} from 1 at step 1 to 0.5 at step 2" in page
        assert f"</i>{label}</li>" in page


def test_students_evaluated_later_are_shown_with_those_of_the_run(make_run: MakeRun) -> None:
    scores = [score(of, seed, 90.0 + seed, protocol="rded") for of in ("wmdd", "random") for seed in range(2)]
    run = make_run(curves=True, metrics=make_metrics(evaluations=[*make_metrics()["evaluations"], *scores]))
    (run / "evaluations").mkdir()
    rows = [{"stage": "evaluate", "unit": "wmdd resnet18 rded seed 0", "epoch": e, "top1": 90.0} for e in (1, 2)]
    (run / "evaluations" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = words(page_of(run))
    assert "resnet18 wmdd, soft labels" in text
    assert "resnet18 rded, soft labels" in text
    assert "78.2 ± 1.1" in text
    assert "90.5 ± 0.7" in text
    assert "Students: resnet18, wmdd" in text
    assert "Students: resnet18, rded" in text


def test_missing_random_row_is_shown_as_missing(make_run: MakeRun) -> None:
    text = words(page_of(make_run(metrics=make_metrics(evaluations=[score("wmdd", 0, 78.0)]))))
    assert "random real images not evaluated" in text


def test_several_settings_get_an_overall_count(make_run: MakeRun) -> None:
    evaluations = [
        score(of, s, v + s, student=student)
        for student in ("resnet18", "convnet3")
        for of, v in (("wmdd", 60.0), ("random", 50.0))
        for s in range(2)
    ]
    assert "clearly above in 2" in words(page_of(make_run(metrics=make_metrics(evaluations=evaluations))))


def test_hostile_names_are_text(make_run: MakeRun) -> None:
    evil = '"><script>alert(1)</script>'
    data = make_metrics()["data"] | {"classes": [evil] * 10, "name": evil}
    metrics = make_metrics(data=data, evaluations=[score(evil, 0, 50.0, student=evil)])
    run = make_run(metrics=metrics)
    with (run / "log.jsonl").open("a") as log:
        for epoch in (1, 2):
            row = {"stage": "evaluate", "unit": f"{evil} {evil} x seed 0", "epoch": epoch, "top1": 5.0}
            log.write(json.dumps(row) + "\n")
    page = page_of(run)
    assert "<script" not in page
    assert Structure(page).tags["script"] == 0
    assert "&lt;script&gt;" in page


def test_gallery_is_capped_and_says_so(make_run: MakeRun) -> None:
    page = page_of(make_run(without=("metrics.json",), classes=43, ipc=12))
    assert page.count("--sprite:url(") == 20
    assert page.count('role="img" aria-label="name') == 200
    assert "20 of 43 classes, spread evenly; of 12 images each, the 10 with the largest weight" in words(page)
    assert "name 40" in page


def test_large_images_are_reduced(make_run: MakeRun) -> None:
    page = page_of(make_run(classes=2, ipc=1, side=160, channels=3))
    assert "160 × 160 pixels, shown reduced" in words(page)
    assert "data:image/jpeg" in page


def test_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"^no such run folder; got .*nowhere; give"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.json", '{"schema"', "is damaged"),
        ("metrics.json", '{"schema": 2}', "another schema; got 2"),
        ("metrics.json", "[]", "is damaged"),
        ("metrics.json", "[" * 5000, "is damaged"),
        ("metrics.json", "{}", "another schema; got None"),
        ("metrics.json", '{"schema": 1, "evaluations": {}}', "evaluations"),
        ("metrics.json", '{"schema": 1, "evaluations": [{"set": "wmdd"}]}', r"evaluations\.0"),
        ("metrics.json", '{"schema": 1, "diagnosis": {"a": {"classes": {"cost": [1]}}}}', "every set must have"),
        ("metrics.json", '{"schema": 1, "warnings": [{}]}', "warnings.0.kind"),
        ("recipe.yaml", "a: [", "is not YAML"),
        ("recipe.yaml", "a: &a [*a]", "is not YAML"),
        ("recipe.yaml", "- 1", "is not YAML"),
        ("distilled/data/train-00000-of-00001.parquet", "PAR1", "damaged; got 4 bytes"),
        ("distilled/manifest.json", "{", "is damaged; got Invalid JSON"),
        ("distilled/manifest.json", "[]", "is damaged"),
    ],
)
def test_damaged_files_are_one_clear_line(make_run: MakeRun, file: str, content: str, said: str) -> None:
    run = make_run(metrics=make_metrics(data={}))
    (run / file).write_text(content)
    with pytest.raises(ArtifactError, match=said) as caught:
        write_report(run)
    assert "\n" not in str(caught.value)
    assert not (run / "report.html").exists()


def test_no_training_library_is_loaded() -> None:
    code = (
        "import sys, wmdd.report; print([m for m in ('torch', 'timm', 'ot', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def dom_of(page: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Open a page in a browser; its document is on stdout, its complaints are on stderr."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on this machine")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
               "--disable-component-update", "--disable-sync", f"--user-data-dir={page.parent / 'profile'}",
               "--enable-logging=stderr", "--dump-dom", *more]  # fmt: skip
    return subprocess.run([browser, *options, page.as_uri()], capture_output=True, text=True, check=True, timeout=60)


@pytest.mark.browser
def test_a_browser_has_nothing_to_complain_about(make_run: MakeRun) -> None:
    done = dom_of(write_report(make_run(curves=True)))
    assert "CONSOLE" not in done.stderr
    assert "WMDD on digits" in done.stdout


@pytest.mark.parametrize("words", [["report"], ["export", "--format", "imagefolder", "--to", "OUT"]])
def test_a_damaged_set_is_neither_drawn_nor_exported(
    make_run: MakeRun, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    path = run / "distilled/data/train-00000-of-00001.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    typed = [words[0], str(run), *(word.replace("OUT", str(run / "out")) for word in words[1:])]
    assert main(typed) == 2
    assert re.search(r"train-00000-of-00001.parquet: damaged; got another SHA-256; [^\n]*\n\Z", capsys.readouterr().err)
    assert not (run / "report.html").exists()
    assert not (run / "out").exists()


MEASURED = """<script>
const right = each => each.getBoundingClientRect().right;
const edge = selector => Math.max(...[...document.querySelectorAll(selector)].map(right));
const edges = ["table.accuracy tbody td:nth-of-type(1)", ".notice", ".gallery h3"].map(edge);
parent.document.title = [innerWidth, document.documentElement.scrollWidth, ...edges].map(Math.ceil).join(" ");
</script>"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_the_accuracies_are_on_the_screen_and_nothing_is_wider(make_run: MakeRun, width: int) -> None:
    metrics = make_metrics(warnings=[{"kind": "files", "text": "left out: " + "x" * 200, "count": 1}])
    metrics["data"]["classes"] = ["n" * 90, *metrics["data"]["classes"][1:]]
    metrics["evaluations"] += [score("wmdd", 0, 60.0, student="timm:" + "y" * 70)]
    page = write_report(make_run(metrics=metrics, curves=True))
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page.read_text(encoding="utf-8"))
    inside = html.escape(text.replace("</body>", f"{MEASURED}</body>"))
    frame = f'<title></title><iframe style="width:{width}px;border:0" srcdoc="{inside}"></iframe>'
    page.write_text(f"<!doctype html><meta charset=utf-8>{frame}", encoding="utf-8")
    title = re.search(r"<title>([\d ]+)</title>", dom_of(page, "--window-size=1400,844", "--hide-scrollbars").stdout)
    assert title is not None
    inner, *edges = map(int, title[1].split())
    assert inner == width
    assert all(edge <= width for edge in edges), edges


def test_class_names_of_any_script(make_run: MakeRun) -> None:
    names = ["猫", "🦊", "עברית", "<b>", "a" * 200, "x\x01", "é", "e\u0301", "10"]
    metrics = make_metrics()
    metrics["data"]["classes"] = names
    text = write_report(make_run(metrics=metrics)).read_text(encoding="utf-8")
    assert all(name in text for name in ("猫", "🦊", "עברית", "&lt;b&gt;", "a" * 200))


def test_a_row_of_the_table_begins_with_its_set_and_its_accuracy(make_run: MakeRun) -> None:
    text = write_report(make_run()).read_text(encoding="utf-8")
    assert re.search(
        r'<table class="accuracy">\s*<thead><tr><th scope="col">training set</th><th [^>]*>top-1</th>', text
    )
    assert re.search(r'<th scope="row" class="set">WMDD</th>\s*<td class="num"><strong>78.2 ± 1.1</strong></td>', text)
    assert "wmdd, soft labels, 2 images a class</span></th>" in text
