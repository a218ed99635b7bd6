"""WMDD: features → Wasserstein barycenter → images that hit its atoms under per-class BatchNorm statistics."""

from wmdd.methods.method import Method
from wmdd.settings import BarycenterSettings, RecoverSettings, StatisticsSettings

METHOD = Method(
    name="wmdd",
    title="WMDD",
    summary="images whose features hit a Wasserstein barycenter, under per-class BatchNorm statistics (ICCV 2025)",
    source="Dataset Distillation via the Wasserstein Metric, ICCV 2025, arXiv:2311.18531",
    algorithm="wmdd.methods.wmdd.distill",
    settings=(StatisticsSettings, BarycenterSettings, RecoverSettings),
    stages=("statistics", "barycenter", "recover"),
    losses={"loss": "total", "feature_loss": "feature term", "ce_loss": "cross-entropy", "bn_loss": "BatchNorm term"},
    needs_batchnorm=True,
    bibtex="""@inproceedings{liu2025wmdd,
  title     = {Dataset Distillation via the Wasserstein Metric},
  author    = {Liu, Haoyang and Li, Yijiang and Xing, Tiancheng and Wang, Peiran and Dalal, Vibhu and Li, Luwei and He, Jingrui and Wang, Haohan},
  booktitle = {IEEE/CVF International Conference on Computer Vision (ICCV)},
  year      = {2025}
}
""",  # noqa: E501
)
