"""k-medoids: real images nearest to a barycenter's atoms, against a search of all assignments."""

from dataclasses import replace
from itertools import permutations

import pytest
import torch

from memory_context import MemoryContext
from wmdd.errors import DataError
from wmdd.methods.k_medoids.distill import K_MEDOIDS, pick_medoids
from wmdd.settings import BarycenterSettings, NoSettings
from wmdd.stages.barycenter import barycenter
from wmdd.values import Barycenters, ClassStatistics, DistilledSet, ImageSet, Teacher


def of_atoms(barycenters: Barycenters, atoms: torch.Tensor) -> Barycenters:
    return replace(barycenters, atoms=atoms)


@pytest.fixture
def barycenters(class_statistics: ClassStatistics) -> Barycenters:
    return barycenter(class_statistics, BarycenterSettings(iterations=3), ipc=3)


def picked(images: ImageSet, teacher: Teacher, seen: ClassStatistics, atoms: Barycenters) -> DistilledSet:
    return pick_medoids(images, teacher, seen, atoms, NoSettings(), ctx=MemoryContext(stage="k-medoids"))


def test_the_sum_of_squared_distances_is_the_least_of_all_assignments(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    found = picked(image_set, teacher, class_statistics, barycenters)
    for label in range(3):
        costs = torch.cdist(barycenters.atoms[label].double(), class_statistics.of_class(label).double()) ** 2
        best = min(permutations(range(12), 3), key=lambda rows: float(sum(costs[k, row] for k, row in enumerate(rows))))
        images = image_set.images.fetch(image_set.of_class(label)[list(best)].tolist())
        assert torch.equal(found.images[3 * label : 3 * label + 3], images)


def test_atoms_that_are_features_give_their_images_whatever_the_weights(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    rows = [7, 2, 11]
    atoms = torch.stack([class_statistics.of_class(label)[rows] for label in range(3)])
    found = picked(image_set, teacher, class_statistics, of_atoms(barycenters, atoms))
    positions = [int(position) for label in range(3) for position in image_set.of_class(label)[rows]]
    assert torch.equal(found.images, image_set.images.fetch(positions))
    torch.testing.assert_close(found.weights, torch.full((9,), 1 / 3))


def test_features_count_as_they_are_not_only_their_direction(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    features = class_statistics.features.clone()
    features[:12] = 0.0
    features[:12, 0] = torch.arange(1.0, 13.0)  # all in one direction
    atoms = barycenters.atoms.clone()
    atoms[0], atoms[0, :, 0] = 0.0, torch.tensor([9.2, 4.1, 12.6])
    found = picked(image_set, teacher, replace(class_statistics, features=features), of_atoms(barycenters, atoms))
    assert torch.equal(found.images[:3], image_set.images.fetch(image_set.of_class(0)[[8, 3, 11]].tolist()))


def test_atoms_with_one_nearest_image_get_different_ones(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    atoms = torch.stack([class_statistics.of_class(label)[[5, 5, 5]] for label in range(3)])
    found = picked(image_set, teacher, class_statistics, of_atoms(barycenters, atoms))
    assert len({image.numpy().tobytes() for image in found.images}) == 9


def test_what_does_not_belong_together_is_one_line(
    image_set: ImageSet, teacher: Teacher, class_statistics: ClassStatistics, barycenters: Barycenters
) -> None:
    with pytest.raises(DataError, match="got 2 barycenters for 3 classes"):
        picked(image_set, teacher, class_statistics, of_atoms(barycenters, barycenters.atoms[:2]))
    with pytest.raises(DataError, match="statistics and images do not belong together"):
        picked(image_set, teacher, replace(class_statistics, counts=(13, 11, 12)), barycenters)
    assert not K_MEDOIDS.seeded
