"""The records that stages hand to each other, and the shape legend used throughout.

Shapes: `N` real images · `C` classes · `K` atoms or images per class (IPC) · `M = C·K` distilled images · `D` features
· `L` BatchNorm layers · `F` channels of all BatchNorm layers side by side · `E` epochs · `B` batch · `ch` image
channels · `S` side of the canvas that images are stored at · `R` side of the image that a network sees.

Records are frozen: a stage reads some and returns a new one. They know nothing of networks, disks or settings.
"""

from wmdd.drawn import DrawnViews
from wmdd.values.cells import TILES, Cells, CellStatistics, ChosenImages
from wmdd.values.dynamics import TrainingDynamics
from wmdd.values.features import (
    Barycenters,
    ClassFeatures,
    ClassStatistics,
    LayerStatistics,
    ModelSpec,
    Teacher,
    Trajectories,
)
from wmdd.values.images import Images, ImageSet
from wmdd.values.labels import EpochLabels, LazyEpochs, SoftLabels, Views
from wmdd.values.sets import Diagnosis, DistilledSet, Evaluation, Score, SetLosses

__all__ = [
    "TILES",
    "Barycenters",
    "CellStatistics",
    "Cells",
    "ChosenImages",
    "ClassFeatures",
    "ClassStatistics",
    "Diagnosis",
    "DistilledSet",
    "DrawnViews",
    "EpochLabels",
    "Evaluation",
    "ImageSet",
    "Images",
    "LayerStatistics",
    "LazyEpochs",
    "ModelSpec",
    "Score",
    "SetLosses",
    "SoftLabels",
    "Teacher",
    "TrainingDynamics",
    "Trajectories",
    "Views",
]
