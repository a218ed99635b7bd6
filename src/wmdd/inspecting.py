"""The commands that look at what is there as Python functions: `predict`, `report`, `status`, `export`."""

from pathlib import Path

from wmdd.evaluation.prediction import Prediction
from wmdd.making import make_export
from wmdd.pipeline.status import Status, run_status
from wmdd.product.reading import folder_of
from wmdd.report import predict_bench, write_page
from wmdd.requests.inspect import export_request, predict_request, report_request, status_request
from wmdd.values import DistilledSet


def predict(bench: str | Path, /) -> tuple[Prediction, ...]:
    """Tell which losses of the sets of a bench predict how well their students do; the same as `wmdd predict`.

    Args:
        bench: folder of a bench that was made with `losses`.

    Returns:
        For each student, protocol, kind of labels and number of images per class, Spearman's ρ of every loss.

    Raises:
        WmddError: there is no such bench, or too few of its sets have losses; one line says why.
    """
    request = predict_request(bench)
    request.require_inputs()
    return predict_bench(request.run)


def report(run: str | Path) -> Path:
    """Write the page of a run, or tables and page of a bench, again, and return its path; the same as `wmdd report`.

    Raises:
        WmddError: it is not the folder of one; one line says why.
    """
    request = report_request(run)
    request.require_inputs()
    return write_page(request.run)


def status(run: str | Path) -> Status:
    """Return how far a run or a bench has come, or raise `WmddError`; the same as `wmdd status`."""
    return run_status(status_request(run).run)


def export(
    distilled: str | Path | DistilledSet, *, format: str, to: str | Path, labels: str | None = None,
    top_k: int | None = None
) -> Path:  # fmt: skip
    """Write the images of a set for other programs, and return the folder; the same as `wmdd export`.

    Args:
        distilled: folder of a run or of the set in it, or the set that `wmdd.load` reads from it.
        format: `"imagefolder"`, `"parquet"` or `"safetensors"`; see `wmdd.product.writing.export_set`.
        to: new or empty folder.
        labels: of `"parquet"`: `"topk"` writes soft labels too, the `top_k` largest logits in 8 bits, for `wmdd.load`.
        top_k: None = as many as `relabel.top_k` has by default.

    Raises:
        WmddError: the input cannot be used; one line says why.
    """
    given = {"format": format, "to": to, "labels": labels, "top_k": top_k}
    request = export_request(folder_of(distilled), {name: value for name, value in given.items() if value is not None})
    request.require_inputs()
    return make_export(request)
