"""Random: real images drawn without replacement. The row that every other method has to beat."""

from wmdd.methods.method import Method

METHOD = Method(
    name="random",
    title="random real images",
    summary="real images, drawn uniformly; always evaluated beside every other method",
    source="the field's standard baseline",
    algorithm="wmdd.methods.random.distill",
    stages=("random",),
    real=True,
)
