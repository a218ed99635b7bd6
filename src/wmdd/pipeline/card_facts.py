"""What the data-set card tells of a method. Provisional: titles and BibTeX belong to the methods' own cards."""

from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

_TITLES = {"wmdd": "WMDD", "sre2l": "SRe2L", "rded": "RDED"}
_BIBTEX = {
    "wmdd": """@inproceedings{liu2025wmdd,
  title     = {Dataset Distillation via the Wasserstein Metric},
  author    = {Liu, Haoyang and Li, Yijiang and Xing, Tiancheng and Wang, Peiran and Dalal, Vibhu and Li, Luwei and He, Jingrui and Wang, Haohan},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year      = {2025}
}
""",  # noqa: E501
    "sre2l": """@inproceedings{yin2023sre2l,
  title     = {Squeeze, Recover and Relabel: Dataset Condensation at ImageNet Scale From A New Perspective},
  author    = {Yin, Zeyuan and Xing, Eric and Shen, Zhiqiang},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS)},
  year      = {2023}
}
""",
}


def method_facts(method: str) -> dict[str, str]:
    """Return `title` and `bibtex` of a method, of those that are known."""
    known = {"title": _TITLES.get(method), "bibtex": _BIBTEX.get(method)}
    return {name: value for name, value in known.items() if value is not None}


def result_rows(evaluations: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the card's rows of accuracies: mean ± sample deviation over students that differ in seed alone.

    Provisional: to be replaced by the comparison of scores in `wmdd.evaluation`.
    """
    found: dict[tuple[str, ...], list[float]] = {}
    for row in evaluations:
        key = tuple(str(row[name]) for name in ("set", "ipc", "student", "protocol", "labels"))
        found.setdefault(key, []).append(float(row["top1"]))
    return [(*key, _spread(values), str(len(values))) for key, values in found.items()]


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
