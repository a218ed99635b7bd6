"""A small search on the digits: three rungs, stopped, resumed, drawn."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from benchmarks.search.__main__ import main
from benchmarks.search.climbing import Pace, Search, climb
from benchmarks.search.halving import Rung
from benchmarks.search.state import Panel, RungState, panels, read_states, state_file, tables
from benchmarks.search.table import draw

from wmdd.errors import ArtifactError, ConfigError

ARCH = "convnet1_w4_bn"
BASE = {
    "device": "cpu",
    "precision": "fp32",
    "data": {"development": 0.1},
    "squeeze": {"arch": ARCH, "epochs": 1},
    "recover": {"iterations": 2},
    "evaluate": {"students": [ARCH], "protocols": ["rded", "hard"], "epochs": 2, "labels": "soft", "tests": 1},
}
VARIANTS = {
    "longer": {"idea": "more", "predicted": {"soft": 1, "hard": 1}, "settings": {"recover.iterations": 3}},
    "real": {"idea": "real", "predicted": {"soft": 1, "hard": -2}, "settings": {"recover.start": "real"}},
    "same": {"idea": "none", "predicted": {"soft": 0, "hard": 0}, "settings": {"recover.iterations": 2}},
}
RUNGS = (
    Rung(number=1, share=1, sets=1, students=1, epochs=1, ipcs=(1,)),
    Rung(number=2, share=1 / 2, sets=3, students=2, epochs=None, ipcs=(1,)),
)
ROWS = ["random", "wmdd", "longer", "real", "k-medoids"]


def small(place: Path, **changes: object) -> Search:
    for name, tree in (("base", {**BASE, **changes}), ("variants", VARIANTS)):
        (place / f"{name}.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    files = {"out": place / "out", "store": place / "store", "results": place / "results"}
    recipe = str(place / "base.yaml")
    return Search.of("digits", recipe, files=place / "variants.yaml", development=None, rungs=RUNGS, **files)


def said(minutes: float | None = None) -> tuple[Pace, list[str]]:
    lines: list[str] = []
    return Pace(minutes, lines.append), lines


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RungState]]:
    """A search that was stopped after its first set, and then finished."""
    place = tmp_path_factory.mktemp("search")
    pace, _ = said(0)
    with pytest.raises(KeyboardInterrupt):
        climb(small(place), pace)
    (begun,) = read_states(place / "results")
    assert begun.waiting == len(ROWS)
    return place, climb(small(place), said()[0])


def test_every_rung_has_its_baselines_and_its_seeds(finished: tuple[Path, list[RungState]]) -> None:
    first, second = finished[1]
    assert [row["name"] for row in first.bench["rows"]] == ROWS
    assert {"random", "wmdd", "k-medoids"} < {row["name"] for row in second.bench["rows"]}
    assert 1 <= len(second.variants) <= 2
    for state, sets, students in ((first, 1, 1), (second, 3, 2)):
        assert (state.waiting, state.twins) == (0, {"same": "wmdd"})
        for panel, rows in panels(state.bench).items():
            seeds = {(score["distill_seed"], score["seed"]) for score in rows["wmdd"]}
            assert seeds == {(of_set, student) for of_set in range(sets) for student in range(students)}
            assert panel in (Panel(1, ARCH, "rded", "soft"), Panel(1, ARCH, "hard", "hard"))
            for name in (*state.variants, "random", "all real images"):  # paired: the same seeds
                assert {(score["distill_seed"], score["seed"]) for score in rows[name]} == seeds


def test_it_is_judged_on_development_images(finished: tuple[Path, list[RungState]]) -> None:
    assert all(state.bench["data"]["development"] == 0.1 for state in finished[1])


def test_states_are_read_as_they_were_written(finished: tuple[Path, list[RungState]]) -> None:
    place, states = finished
    assert json.dumps([state.bench for state in read_states(place / "results")]) == json.dumps(
        [state.bench for state in states]
    )
    assert [state.variants for state in read_states(place / "results")] == [state.variants for state in states]


def test_nothing_is_made_again(finished: tuple[Path, list[RungState]]) -> None:
    place, states = finished
    made = {path: path.stat().st_mtime_ns for path in (place / "store").glob("*/manifest.json")}
    pace, lines = said()
    again = climb(small(place), pace)
    assert [tables(state) for state in again] == [tables(state) for state in states]
    assert {path: path.stat().st_mtime_ns for path in (place / "store").glob("*/manifest.json")} == made
    assert sum(line.endswith("found finished") for line in lines) == sum(len(s.bench["cells"]) for s in states)


def test_the_time_is_over_after_the_set_that_is_being_made() -> None:
    pace, _ = said(0)
    assert pace.stop_asked()
    pace.begin("recover")
    assert not pace.stop_asked()
    pace.end("recover", 1.0, False)
    assert pace.stop_asked()
    pace.begin("recover")
    pace.note("failed")
    assert pace.stop_asked()
    assert not said()[0].stop_asked()


def test_another_search_may_not_write_there(finished: tuple[Path, list[RungState]], tmp_path: Path) -> None:
    search = small(tmp_path, recover={"iterations": 1})
    (tmp_path / "results").symlink_to(finished[0] / "results")
    with pytest.raises(ConfigError, match="results of another data set or base.*give another --results"):
        climb(search, said()[0])


def test_the_table(finished: tuple[Path, list[RungState]]) -> None:
    place, states = finished
    drawn = draw(read_states(place / "results"))
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in drawn.splitlines() if "|" in line
    ]
    assert head[5:7] == ["IPC 1, hard, hard", "IPC 1, rded, soft"]
    assert sorted(row[0] for row in rows) == sorted(ROWS)
    by_name = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    (survivor, *_) = states[1].variants
    assert by_name[survivor]["rung"] == "2"
    assert by_name[survivor]["sets × students"] == "3 × 2"
    assert " ± " in by_name[survivor]["IPC 1, rded, soft"]
    assert by_name["longer"]["idea"] == "more"
    assert by_name["real"]["predicted, soft / hard"] == "+1.0 / −2.0"
    assert "`same` has the settings of `wmdd`." in drawn
    assert "development images of digits, recipe `base.yaml`" in drawn
    assert "Spearman's ρ of rungs 1 and 2" in drawn
    assert str(place) not in drawn


def test_no_table_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "--results", str(tmp_path)]) == 2
    assert "needs results; got none" in capsys.readouterr().err


def test_the_command_refuses_to_run_without_development_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "digits", "--recipe", "digits", "--results", str(tmp_path / "results")]) == 2
    assert "got data.development none" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:40], lambda text: text.replace('"schema": 1,', '"schema": 9,', 1)]
)
def test_a_damaged_state_is_one_line(
    finished: tuple[Path, list[RungState]], tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    text = state_file(finished[0] / "results", 1).read_text(encoding="utf-8")
    state_file(tmp_path, 1).write_text(spoil(text), encoding="utf-8")
    with pytest.raises(ArtifactError, match="run the search again"):
        read_states(tmp_path)


def test_the_command_stops_in_time_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path)  # writes its files
    monkeypatch.setattr("benchmarks.search.__main__.RUNGS", RUNGS)
    places = [word for name in ("out", "store", "results") for word in (f"--{name}", str(tmp_path / name))]
    words = ["run", "digits", "--recipe", str(tmp_path / "base.yaml"), "--variants", str(tmp_path / "variants.yaml")]
    assert main([*words, *places, "--rungs", "1", "--until", "0"]) == 0
    assert "stopped; the same command goes on" in capsys.readouterr().err
    assert main([*words, *places, "--rungs", "1"]) == 0
    assert "| longer |" in capsys.readouterr().out
    assert [state.waiting for state in read_states(tmp_path / "results")] == [0]


def test_a_later_rung_finds_the_students_of_an_earlier_one(tmp_path: Path) -> None:
    rungs = [
        Rung(number=1, share=1, sets=1, students=1, epochs=None, ipcs=(1,)),
        Rung(number=2, share=1, sets=2, students=1, epochs=None, ipcs=(1,)),
    ]
    climb(replace(small(tmp_path), rungs=rungs), said()[0])
    # Two sets of random images, medoids, WMDD and each variant, apart from the two ceilings, which are no sets.
    assert len(list((tmp_path / "store").glob("evaluate-*"))) == 2 * len(ROWS)
    assert len(list((tmp_path / "store").glob("pool-*"))) == 2
