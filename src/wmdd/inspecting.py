"""The commands that look at what is there as Python functions: `predict`, `report`, `status`."""

from pathlib import Path

from wmdd.evaluation.prediction import Prediction
from wmdd.pipeline.status import Status, run_status
from wmdd.report import predict_bench, write_page
from wmdd.requests.inspect import predict_request, report_request, status_request


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
