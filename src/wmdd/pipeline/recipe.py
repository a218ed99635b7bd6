"""A recipe: every setting of a run, as one frozen tree. Free of torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from wmdd.errors import ConfigError, WmddError, did_you_mean
from wmdd.settings import (
    BarycenterSettings,
    DataSettings,
    DcSettings,
    DdSettings,
    DmSettings,
    DsaSettings,
    EvaluateSettings,
    ExpertsSettings,
    GvbsmSettings,
    KipSettings,
    KMeansSettings,
    MmdSettings,
    MttSettings,
    RdedSettings,
    RecoverSettings,
    RelabelSettings,
    ScddSettings,
    Section,
    SqueezeSettings,
    StatisticsSettings,
)

OPTIONS = "options"


class Recipe(Section):
    """Everything that decides a run, apart from the data and where results go."""

    method: str = "wmdd"
    """How images are distilled; `wmdd list methods` names them."""
    ipc: Annotated[int, Field(ge=1)] = 10
    """Images per class."""
    seed: int = 0
    """Seed of everything but the teacher."""
    device: str = "auto"
    """auto = CUDA, else MPS, else CPU; or a torch device such as cuda:1."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type in which networks compute; auto = bf16 on CUDA and on CPUs that have it, else fp32."""
    save_every: Annotated[float, Field(ge=0)] = 20.0
    """Seconds between saved states inside a stage."""
    data: DataSettings = DataSettings()
    """Images."""
    squeeze: SqueezeSettings = SqueezeSettings()
    """Teacher."""
    statistics: StatisticsSettings = StatisticsSettings()
    """Features and moments."""
    barycenter: BarycenterSettings = BarycenterSettings()
    """Atoms and weights."""
    recover: RecoverSettings = RecoverSettings()
    """Images."""
    kmeans: KMeansSettings = KMeansSettings()
    """Method k-means."""
    rded: RdedSettings = RdedSettings()
    """Method rded."""
    dc: DcSettings = DcSettings()
    """Method dc."""
    dsa: DsaSettings = DsaSettings()
    """Method dsa."""
    dm: DmSettings = DmSettings()
    """Method dm."""
    dd: DdSettings = DdSettings()
    """Method dd."""
    experts: ExpertsSettings = ExpertsSettings()
    """Of method mtt."""
    mtt: MttSettings = MttSettings()
    """Method mtt."""
    kip: KipSettings = KipSettings()
    """Method kip."""
    mmd: MmdSettings = MmdSettings()
    """Method mmd."""
    gvbsm: GvbsmSettings = GvbsmSettings()
    """Method gvbsm."""
    scdd: ScddSettings = ScddSettings()
    """Method scdd."""
    relabel: RelabelSettings = RelabelSettings()
    """Soft labels."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """Students."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings of a method that comes from another package, which checks them."""

    def with_settings(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return a copy with some settings replaced, given as `{"recover.lr": 0.1, "ipc": 1}` or nested."""
        tree = self.model_dump()
        for name, value in dotted(changes).items():
            _put(tree, name, value)
        return Recipe(**tree)


def setting_names() -> dict[str, Any]:
    """Return every dotted setting with its type, in order; which `options` there are, the method's package knows."""
    names: dict[str, Any] = {}
    for name, field in Recipe.model_fields.items():
        if name == OPTIONS:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            names |= {f"{name}.{inner}": part.annotation for inner, part in field.annotation.model_fields.items()}
        else:
            names[name] = field.annotation
    return names


def read_tree(path: Path) -> dict[str, Any]:
    """Read the mapping that a YAML file holds.

    Raises:
        ConfigError: the file cannot be read, or holds something else; the message names it.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read recipe {path}; got {reason}; give a YAML file or a recipe's name") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: a recipe is a mapping of settings; got {type(tree).__name__}; see a run's recipe.yaml"
        )
    return tree


def read_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML file.

    Raises:
        ConfigError: the file cannot be read or has wrong settings; the message names the file.
    """
    tree = read_tree(path)
    try:
        return Recipe().with_settings(tree)
    except WmddError as error:
        raise ConfigError(f"{path}: {error}") from None


def write_recipe(recipe: Recipe) -> str:
    """Return a recipe as YAML, every setting included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def dotted(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested changes as dotted ones."""
    flat: dict[str, Any] = {}
    for name, value in changes.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _put(tree: dict[str, Any], name: str, value: Any) -> None:
    """Put a dotted setting into a tree of settings."""
    if name.startswith(f"{OPTIONS}."):
        tree[OPTIONS][name.removeprefix(f"{OPTIONS}.")] = value
        return
    if name not in setting_names():
        raise ConfigError(f"{name}: unknown setting{did_you_mean(name, setting_names())}")
    *sections, last = name.split(".")
    for section in sections:
        tree = tree[section]
    tree[last] = value
