"""A recipe: every setting of a run, as one frozen tree that is complete for its method.

A run's own sections are the same for all methods; those that a method reads beside them come from its card
(`wmdd.methods.catalogue`), so that a setting which the method does not read has no place in its recipe. Settings of
several methods together, as named recipes and benches have them, are plain nested mappings, called trees here.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, NonNegativeFloat, PositiveInt, create_model

from wmdd.errors import ConfigError, did_you_mean
from wmdd.settings.chain import EvaluateSettings, RelabelSettings, SqueezeSettings
from wmdd.settings.data import DataSettings
from wmdd.settings.section import Section
from wmdd.settings.yaml_tree import SIZE, load_yaml

Tree = Mapping[str, Any]
"""Settings by name, nested by section; dotted names are allowed: `{"recover.lr": 0.1}`."""
Kind = TypeVar("Kind", bound=Section)


class Recipe(Section):
    """The settings of every run; `recipe_type` adds the sections of a method."""

    method: str = "wmdd"
    """How images are distilled; `wmdd list methods` names them."""
    ipc: PositiveInt = 10
    """Images per class."""
    ipc_at_most: bool = False
    """Lower ipc to what the smallest class has, where that is less."""
    seed: int = 0
    """Seed of everything but the teacher."""
    device: str = "auto"
    """auto = CUDA, else MPS, else CPU; or a torch device such as cuda:1."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type in which networks compute; auto = bf16 on CUDA and on CPUs that have it, else fp32."""
    threads: Literal["auto"] | PositiveInt = "auto"
    """Threads on CPUs; auto = one per processor of the quota and the affinity that no other process keeps busy."""
    compile: bool = False
    """Compile the teacher's passes in recovery by torch.compile: needs a C++ compiler; images agree to rounding."""
    save_every: NonNegativeFloat = 20.0
    """Seconds between saved states inside a stage."""
    data: DataSettings = DataSettings()
    """Images."""
    squeeze: SqueezeSettings = SqueezeSettings()
    """Teacher."""
    relabel: RelabelSettings = RelabelSettings()
    """Soft labels."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """Students."""

    def of(self, kind: type[Kind]) -> Kind:
        """Return the section of type `kind`, which the run's method declares."""
        return next(value for _, value in self if isinstance(value, kind))

    def with_settings(self, changes: Tree) -> "Recipe":
        """Return a copy with some settings replaced, given as `{"recover.lr": 0.1, "ipc": 1}` or nested.

        Raises:
            ConfigError: the recipe has no such setting, or a value does not fit; or the method would be another.
        """
        known = setting_names(type(self))
        for name in dotted(changes):
            if name not in known:
                raise ConfigError(f"{name}: unknown setting of method {self.method}{did_you_mean(name, known)}")
        if changes.get("method", self.method) != self.method:
            raise ConfigError(f"a recipe is complete for one method; got {changes['method']!r} for {self.method!r}")
        return type(self)(**merged(self.model_dump(), changes))


@cache
def recipe_type(sections: tuple[type[Section], ...]) -> type[Recipe]:
    """Return the type of the recipes of a method that reads `sections` beside those of every run."""
    fields: dict[str, Any] = {
        kind.section: (kind, Field(default=kind(), description=(kind.__doc__ or "").split("\n")[0]))
        for kind in sections
    }
    return create_model("Recipe", __base__=Recipe, **fields)


@cache
def setting_names(kind: type[Section]) -> dict[str, Any]:
    """Return every dotted setting of a type of recipes with its type, in order."""
    names: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            names |= {f"{name}.{inner}": part.annotation for inner, part in field.annotation.model_fields.items()}
        else:
            names[name] = field.annotation
    return names


def dotted(tree: Tree, prefix: str = "") -> dict[str, Any]:
    """Return a tree as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= dotted(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def nested(flat: Tree) -> dict[str, Any]:
    """Undo `dotted`; raises `ConfigError` if a name is both a setting and a section."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, last = name.split(".")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"{name}: {section} is a setting, not a section; got both; leave one out")
        if isinstance(branch.get(last), dict):
            raise ConfigError(f"{name}: a section, not a setting; got both; leave one out")
        branch[last] = value
    return tree


def merged(*trees: Tree) -> dict[str, Any]:
    """Return the settings of all trees, nested; if several have a setting, the last counts."""
    return nested({name: value for tree in trees for name, value in dotted(tree).items()})


def read_tree(path: Path) -> dict[str, Any]:
    """Read the settings that a YAML file holds.

    Raises:
        ConfigError: the file cannot be read, or holds something else; the message names it.
    """
    try:
        if path.stat().st_size > SIZE:
            raise ValueError(f"more than {SIZE} bytes")
        tree = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read recipe {path}; got {error}; give a YAML file or a recipe's name") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: a recipe is a mapping of settings; got {type(tree).__name__}; see a run's recipe.yaml"
        )
    return tree


def write_recipe(recipe: Section) -> str:
    """Return a recipe, or a bench recipe, as YAML, every setting included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
