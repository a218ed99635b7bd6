"""What methods of kernel regression ask of the real images before anything runs."""

from collections.abc import Callable

from wmdd.data.whitening import require_whitening
from wmdd.methods.kits.settings import RegressionSettings
from wmdd.settings import Recipe
from wmdd.training.kernels import require_kernel
from wmdd.values import ImageSet


def check_of(section: type[RegressionSettings]) -> Callable[[Recipe, ImageSet], None]:
    """Return the check of a method whose kernel and whitening are settings of `section`."""

    def check(recipe: Recipe, train: ImageSet) -> None:
        settings = recipe.of(section)
        require_kernel(settings.kernel, train.image_size)
        require_whitening(settings.zca, train.channels * train.image_size**2)

    return check
