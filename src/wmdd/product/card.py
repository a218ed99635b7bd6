"""The data-set card (README.md) of a distilled set, and the picture at its head."""

import re
from collections.abc import Iterable, Mapping
from statistics import fmean, stdev
from typing import Any

import torch
import yaml
from torch import Tensor

from wmdd.product.png import encode_png
from wmdd.values import DistilledSet, SoftLabels

_METHOD_NAMES = {"wmdd": "WMDD", "sre2l": "SRe2L", "rded": "RDED"}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_PREVIEW = 10
"""Classes, and images of each, in the picture."""

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
    "fkd": """@inproceedings{shen2022fkd,
  title     = {A Fast Knowledge Distillation Framework for Visual Recognition},
  author    = {Shen, Zhiqiang and Xing, Eric},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year      = {2022}
}
""",
}

_CAUTIONS = """## Limits

- **Licence.** The images derive from the source data, so the source's terms hold; nothing here is freer than those.
- **Privacy.** Synthetic images are made from real ones, and some methods start from real ones or pick them. Nothing
  here is a guarantee of privacy.
- **Bias.** What the source data over- or under-represent, and what the teacher gets wrong, carries over.
"""


def card(
    distilled: DistilledSet, soft_labels: SoftLabels | None, facts: Mapping[str, Any], *, sizes: Mapping[str, int]
) -> str:
    """Return the card in Markdown, with the YAML head that the Hub and `datasets` read.

    Args:
        distilled: The set.
        soft_labels: Its soft labels; None = the folder has none.
        facts: All optional: `data` (name of the source data), `license` (its licence), `source` (papers of the method),
            `real` (whether its images are real ones), `teacher` (`arch`, `top1`), `evaluations` (rows as in
            `metrics.json`), `settings` (nested), `command`, `versions` (package: version).
        sizes: Bytes of `data`, of `fkd`, and of `exact` where there is such a file.
    """
    stored = soft_labels if soft_labels is not None and soft_labels.epochs else None
    parts = [
        _head(distilled, stored, facts),
        _summary(distilled, facts),
        _loading(stored),
        _columns(distilled, soft_labels),
        _exact(distilled),
        _training(stored),
        _results(facts.get("evaluations", ())),
        _origin(facts),
        _storage(sizes),
        _CAUTIONS,
        _citations(distilled, stored, facts),
    ]
    return "\n".join(part for part in parts if part)


def preview(distilled: DistilledSet) -> bytes:
    """Return a PNG of the first images of the first classes, one class a row."""
    columns, classes = min(distilled.ipc, _PREVIEW), min(len(distilled.classes), _PREVIEW)
    return encode_png(
        torch.cat([_strip(distilled.images[distilled.labels == k][:columns]) for k in range(classes)], dim=1)
    )


def _strip(images: Tensor) -> Tensor:
    """Return images side by side, each with a white line at its right and bottom, `(ch, R + 1, n (R + 1))`."""
    framed = torch.nn.functional.pad(images, (0, 1, 0, 1), value=255)
    return torch.cat(list(framed), dim=2)


def _title(distilled: DistilledSet, facts: Mapping[str, Any]) -> str:
    method = _METHOD_NAMES.get(distilled.method, distilled.method)
    images = "1 image" if distilled.ipc == 1 else f"{distilled.ipc} images"
    return f"{facts.get('data', 'Images')} distilled by {method}, {images} a class"


def _head(distilled: DistilledSet, soft_labels: SoftLabels | None, facts: Mapping[str, Any]) -> str:
    configs = [{"config_name": "default", "default": True, "data_files": _train_files("data")}]
    if soft_labels is not None:
        configs.append({"config_name": "fkd", "data_files": _train_files("fkd")})
    count = len(distilled.labels)
    head = {
        "license": "other",
        "license_name": facts.get("license", "as-source-data"),
        "pretty_name": _title(distilled, facts),
        "task_categories": ["image-classification"],
        "size_categories": [next((name for limit, name in _SIZES if count < limit), "n>1M")],
        "annotations_creators": ["machine-generated"],
        "tags": ["dataset-distillation", "dataset-condensation", *_nature(distilled, facts)],
        "configs": configs,
    }
    if "data" in facts:
        head["source_datasets"] = [f"extended|{facts['data']}"]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---\n"


def _nature(distilled: DistilledSet, facts: Mapping[str, Any]) -> list[str]:
    """Return the tags that differ between methods: synthetic or not, its name, its papers."""
    synthetic = [] if facts.get("real") else ["synthetic"]
    papers = re.findall(r"arXiv:(\d+\.\d+)", str(facts.get("source", "")))
    return [*synthetic, distilled.method, *(f"arxiv:{paper}" for paper in papers)]


def _train_files(folder: str) -> list[dict[str, str]]:
    return [{"split": "train", "path": f"{folder}/train-*.parquet"}]


def _summary(distilled: DistilledSet, facts: Mapping[str, Any]) -> str:
    count, classes = len(distilled.labels), len(distilled.classes)
    channels, side = distilled.images.shape[1], distilled.image_size
    kind = (
        "The images are real ones of the source data, or pieces of them"
        if facts.get("real")
        else "Optimised images are not\nphotographs: they are not made for people to look at, nor to test anything on"
    )
    return f"""# {_title(distilled, facts)}

![The first images of the first classes](preview.png)

A small training set: {count} images of {classes} classes, {side} x {side} pixels, {channels} channel(s), made by the
method `{distilled.method}` to stand in for the source data when a network is trained. {kind}.
"""


def _loading(soft_labels: SoftLabels | None) -> str:
    fkd = '\nviews = load_dataset("PATH", "fkd", split="train")  # views and soft labels' if soft_labels else ""
    return f"""## Load

```python
from datasets import load_dataset
small = load_dataset("PATH", split="train")  # image, label, weight{fkd}
```
```python
import wmdd
small = wmdd.load("PATH")  # .images, .labels, .weights as tensors
```
For `torchvision.datasets.ImageFolder`: `wmdd export PATH --format imagefolder --to FOLDER`.
"""


def _columns(distilled: DistilledSet, soft_labels: SoftLabels | None) -> str:
    rows = [
        "| image | PNG, exact (8 bits a channel, sRGB) |",
        "| label | class, 0 to C - 1 |",
        "| weight | share of the image in its class: sums to 1 there. Multiply its loss by weight / mean(weight) |",
    ]
    if soft_labels is not None:
        rows.append("| soft_label | the teacher's logits of the image as it is |")
    table = "\n".join(["| column | meaning |", "|---|---|", *rows])
    return f"""## Columns

{table}

Normalisation of pixels in [0, 1]: mean {_numbers(distilled.mean)}, std {_numbers(distilled.std)}.
{_fkd_columns(soft_labels)}"""


def _exact(distilled: DistilledSet) -> str:
    """Tell what lies in `exact.safetensors`."""
    meanings = {
        "exact": "the images as they were optimised, normalised, float32. Pixels do not bound them: the pictures above "
        "are these, clipped and rounded, to look at. Train on these",
        "targets": "labels that were optimised with the images: what a network shall answer, float32. Learn them by "
        "squared error",
        "rates": "learned step sizes of a student's gradient descent: one, or one for each step",
    }
    rows = [f"- `{name}`: {text}." for name, text in meanings.items() if getattr(distilled, name) is not None]
    return "\n".join(["`exact.safetensors` holds what pictures and classes cannot:", "", *rows, ""]) if rows else ""


def _fkd_columns(soft_labels: SoftLabels | None) -> str:
    if soft_labels is None or not soft_labels.epochs:
        return ""
    logits = {
        "full": "`logits`: the teacher's logits of every class for that view.",
        "topk": "`logits` of the largest `classes`, and `rest`, the mean logit of all others.",
        "online": "There are no logits: the teacher, which is not part of this folder, is asked about each view while\n"
        "training. The `soft_label` of the two images, mixed by the area of the patch, comes nearest to that.",
    }[soft_labels.store]
    epochs = len(soft_labels.epochs)
    return f"""
Config `fkd` has {epochs} epochs of one row an image, in training order: `epoch`, `index` (row of the image), `crop`
(top, left, height, width in pixels, resized to the image's side, bilinear), `flip` (after the crop), and the CutMix
partner (`partner`, `partner_crop`, `partner_flip`), which shows in the box `patch`. {logits}
"""


def _training(soft_labels: SoftLabels | None) -> str:
    if soft_labels is None:
        return ""
    batch, epochs, temperature = soft_labels.batch, len(soft_labels.epochs), f"{soft_labels.temperature:g}"
    return f"""## Train

The views were drawn in batches of {batch}. The loss of an image is weight / mean(weight) x KL(softmax(teacher / T) ||
softmax(student / T)), T = {temperature}; AdamW with learning rate 0.001 and a cosine to zero suits it:
```python
for images, targets, weights in small.loader(batch_size={batch}, epochs={epochs}):  # views replayed, pixels normalised
    student_log = torch.log_softmax(network(images) / {temperature}, dim=1)
    loss = (weights * torch.nn.functional.kl_div(student_log, targets, reduction="none").sum(1)).mean()
```
"""


def _results(evaluations: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of accuracies: mean ± sample standard deviation over students that differ in seed alone."""
    found: dict[tuple[str, ...], list[float]] = {}
    for row in evaluations:
        key = tuple(str(row[name]) for name in ("set", "ipc", "student", "protocol", "labels"))
        found.setdefault(key, []).append(float(row["top1"]))
    if not found:
        return ""
    lines = [f"| {' | '.join(key)} | {_spread(values)} | {len(values)} |" for key, values in found.items()]
    table = "\n".join(
        ["| set | images a class | student | protocol | labels | top-1 % | students |", "|" + "---|" * 7, *lines]
    )
    return f"""## Results

Accuracy on the source's real validation images after the last epoch. `random` is as many random real images, trained
on with the same kind of labels, protocol and seeds.

{table}
"""


def _spread(values: list[float]) -> str:
    return f"{fmean(values):.1f} ± {stdev(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def _origin(facts: Mapping[str, Any]) -> str:
    lines: list[str] = []
    if teacher := facts.get("teacher"):
        lines.append(f"- Teacher: `{teacher['arch']}`, {float(teacher['top1']):.1f} % of the validation images right.")
    if command := facts.get("command"):
        lines.append(f"- Command: `{command}`")
    if versions := facts.get("versions"):
        lines.append(f"- Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}")
    if settings := facts.get("settings"):
        lines.append(f"- Settings:\n```yaml\n{yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)}```")
    return "\n".join(["## How it was made", "", *lines, ""]) if lines else ""


def _storage(sizes: Mapping[str, int]) -> str:
    exact = f"exact values {sizes['exact']:,} bytes, " if sizes.get("exact") else ""
    return f"""## Storage

Images {sizes["data"]:,} bytes, {exact}views and soft labels {sizes["fkd"]:,} bytes; `manifest.json` has their SHA-256.
"""


def _citations(distilled: DistilledSet, soft_labels: SoftLabels | None, facts: Mapping[str, Any]) -> str:
    """Tell whom to cite: the method, and the way of labelling where there are stored views."""
    source = [f"Method `{distilled.method}`: {facts['source']}.", ""] if facts.get("source") else []
    keys = (distilled.method, "fkd" if soft_labels is not None else "")
    entries = "".join(_BIBTEX[key] for key in keys if key in _BIBTEX)
    code = [f"```bibtex\n{entries}```", ""] if entries else []
    return "\n".join(["## Citation", "", *source, *code, "Please cite the source data set too.", ""])


def _numbers(values: Iterable[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
