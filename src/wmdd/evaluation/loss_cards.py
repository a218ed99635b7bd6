"""The losses of distillation that are compared as predictors of what students learn: formulas, units, sources.

Each is a number for a whole set, the mean over its classes, and small where the set is like the real images by that
measure, whatever loss the set was made with. `stages/losses.py` computes them. Free of torch.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LossCard:
    """What one loss is."""

    title: str
    """In tables and sentences."""
    formula: str
    """f: the teacher's penultimate feature; x: an image of the set; v(x): a view of it; r: a real image."""
    unit: str
    source: str


LOSSES: dict[str, LossCard] = {
    "w2_images": LossCard(
        title="W2² of images",
        formula="W2²(Σ w δ f(x), all δ f(r)): `cost` of a diagnosis",
        unit="squared feature",
        source="WMDD, arXiv:2311.18531",
    ),
    "w2_views_to_images": LossCard(
        title="W2² of views to images",
        formula="W2²(Σ w δ f(v(x)), all δ f(r)): views beside real images that are not augmented",
        unit="squared feature",
        source="WMDD, arXiv:2311.18531, with the views of its recovery",
    ),
    "w2_views": LossCard(
        title="W2² of view features",
        formula="W2²(Σ w δ f(v(x)), δ f(v(r))): both sides seen as students see images",
        unit="squared feature",
        source="here",
    ),
    "mmd_linear": LossCard(
        title="linear MMD²",
        formula="‖mean f(v(x)) − mean f(v(r))‖²",
        unit="squared feature",
        source="DM, arXiv:2110.04181, for the teacher in place of random networks",
    ),
    "mmd_rbf": LossCard(
        title="Gaussian MMD²",
        formula="mean k(x, x) − 2 mean k(x, r) + mean k(r, r) of view features, k a sum of five Gaussians whose widths "
        "are multiples of the median distance of real features",
        unit="none, at most 10",
        source="Gretton et al. 2012",
    ),
    "bn_class": LossCard(
        title="BatchNorm term of classes",
        formula="Σ_l ‖μ_l(v(x)) − μ_l(r)‖² + ‖σ²_l(v(x)) − σ²_l(r)‖², w-weighted, l the teacher's BatchNorm layers",
        unit="squared activation",
        source="WMDD, arXiv:2311.18531",
    ),
    "bn_global": LossCard(
        title="BatchNorm term of all classes",
        formula="the same of all classes at once",
        unit="squared activation",
        source="SRe2L, arXiv:2306.13092",
    ),
    "gradient": LossCard(
        title="gradient distance",
        formula="Σ over rows of weights of 1 − cos(∂ CE(x), ∂ CE(r)), mean over random networks of the teacher's "
        "architecture",
        unit="rows of weights",
        source="DC, arXiv:2006.05929",
    ),
    "cross_entropy": LossCard(
        title="teacher's cross-entropy",
        formula="mean of −log softmax of the teacher at v(x), for the class",
        unit="nats",
        source="SRe2L, arXiv:2306.13092",
    ),
}
"""Name in `bench.json` → card, in the order of tables."""
