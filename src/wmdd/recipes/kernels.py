"""Tables of kernel regression and of ZCA, as KIP's, label solve's and MTT's papers have them, as bench recipes."""

from collections.abc import Callable
from typing import Any

from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.recipes.digits import digits
from wmdd.recipes.reduced import smoke
from wmdd.recipes.testbed import testbed
from wmdd.settings.recipe import merged


def _rows(method: str, **settings: Any) -> dict[str, dict[str, Any]]:
    """Return the rows of a method: either kernel, without and with the paper's whitening."""
    conv, zca = {f"{method}.kernel": "convnet3"}, {f"{method}.zca": "standardised"}
    kinds = {"fc": {}, "fc-zca": zca, "conv": conv, "conv-zca": {**conv, **zca}}
    return {f"{method}-{kind}": {"method": method, **changes, **settings} for kind, changes in kinds.items()}


def digits_kernels() -> BenchRecipe:
    """Compare the kernels of KIP and label solve on the digits, without and with ZCA, under hard labels.

    Source: KIP's second paper (arXiv:2107.13034): ConvNet of three blocks, here at 8 pixels; its whitening is for
        colour images. Reduced: 100 steps (at least 1,000) with 200 real images (5,000), for both kernels alike. Every
        set is tested by students, and by regression with either kernel.
    Command: `wmdd bench digits --recipe digits_kernels`
    Cost: half an hour of one CPU core, most of it for the convolutional kernel.
    Expected: no published numbers for digits; in the paper the convolutional kernel is 2 to 20 points ahead.
    Last measured: 2026-11-30, 2 students of 2 sets under `dc`: random 70.8 ± 0.1; kip-fc 84.4 ± 0.2, with ZCA 72.7 ±
        0.2; kip-conv 88.4 ± 0.1, with ZCA 81.6 ± 1.2; ls-fc 77.4 ± 3.1, with ZCA 48.6 ± 6.5; ls-conv 75.2 ± 1.4, with
        ZCA 46.9 ± 4.2.
    """
    evaluation = {
        "students": ("convnet2_w32",),
        "protocols": ("dc", "kernel", "kernel_conv"),
        "seeds": 2,
        "tests": 1,
        "references": ("random",),
    }
    base = merged(digits(), {"kip": {"iterations": 100, "batch": 200}, "evaluate": evaluation})
    variants = {**_rows("kip"), **_rows("ls")}
    return BenchRecipe(base=base, methods=("random", *variants), ipcs=(1,), distill_seeds=2, variants=variants)


def kernels_cifar10() -> BenchRecipe:
    """Compare KIP, label solve and MTT on CIFAR-10 at one image a class, with the kernel and the ZCA of their papers.

    Source: KIP (arXiv:2011.00050, 2107.13034; ZCA `standardised`), MTT (arXiv:2203.11932; ZCA `pixels`, its steps, span
        and rates for one image a class). Reduced: student and experts of width 32 (128); KIP 300 steps (at least
        1,000), rows with the convolutional kernel on 100 real images a step (5,000); MTT 4 experts (100) of 12 epochs
        (50), 300 iterations (5,000) of 15 steps (50) for one expert epoch (2).
    Command: `wmdd bench FOLDER --recipe kernels_cifar10`, with CIFAR-10 in Parquet files
    Cost: rows with the convolutional kernel need a GPU: 0.4 s a pair of images on one CPU core, so 37 hours for a set
        of KIP and a day for one of label solve. `--methods kip-fc kip-fc-zca mtt mtt-zca` leaves them out: two
        and a half hours of one core, by what MTT's rows of `matching_cifar10` took.
    Expected: the papers: regression with the fully connected kernel 40.5, with the convolutional one, ZCA and learned
        labels 64.7; students of width 128 on KIP's images 29.8, on MTT's 46.3.
    Last measured: not yet.
    """
    evaluation = {
        "students": ("convnet3_w32",),
        "protocols": ("dc",),
        "epochs": None,
        "batch": None,
        "seeds": 2,
        "references": ("random",),
    }
    shared = {"squeeze": {"arch": "convnet3_w32_bn", "epochs": 1}}  # no row looks at this teacher
    own = {**shared, "kip": {"iterations": 300}, "mtt": {"start_max": 2, "rate_lr": 1e-7}}
    base = merged(testbed(), own, {"evaluate": evaluation})
    kip, ls = _rows("kip"), _rows("ls")
    few = {row: {**kip[row], "kip.batch": 100} for row in ("kip-conv", "kip-conv-zca")}
    variants = {**kip, **few, "ls-conv-zca": ls["ls-conv-zca"], "mtt-zca": {"method": "mtt", "experts.zca": "pixels"}}
    rows = ("random", *kip, "ls-conv-zca", "mtt", "mtt-zca")
    return BenchRecipe(base=base, methods=rows, ipcs=(1,), distill_seeds=2, variants=variants)


KERNEL_TABLES: dict[str, Callable[[], BenchRecipe]] = {
    make.__name__: make for make in (digits_kernels, kernels_cifar10, smoke(kernels_cifar10))
}
