"""The catalogue of methods: those in this folder, and those of other installed packages, alike. Free of torch.

A built-in method is a folder here with a card called `METHOD`. A package joins by an entry point of the group
`wmdd.methods` that has the method's name and points to its card; a built-in method of that name takes precedence.
Packages are imported only when their method is used.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from wmdd.errors import ConfigError, WmddError, did_you_mean
from wmdd.methods.method import Method
from wmdd.plugins import Plugins
from wmdd.settings.recipe import Recipe, Tree, dotted, nested, read_tree, recipe_type, setting_names

_KITS = "kits"


@cache
def builtin_methods() -> dict[str, Method]:
    """Return the cards of the built-in methods by name, in alphabetical order."""
    folders = [module.name for module in iter_modules([str(Path(__file__).parent)]) if module.ispkg]
    cards: list[Method] = [import_module(f"wmdd.methods.{name}").METHOD for name in folders if name != _KITS]
    return {card.name: card for card in sorted(cards, key=lambda card: card.name)}


METHODS = Plugins(
    word="method",
    group="wmdd.methods",
    kind=Method,
    public="wmdd.methods.Method",
    taken=lambda name: name in builtin_methods(),
)
"""The methods of other packages."""


def known_methods() -> dict[str, str]:
    """Return name → summary of the built-in methods, then of those of installed packages, which are not imported."""
    return METHODS.beside({name: card.summary for name, card in builtin_methods().items()})


def find_method(name: str) -> Method:
    """Return the card of the method called `name`.

    Raises:
        ConfigError: it is unknown, and the message names the nearest; or it is another package's, and broken.
    """
    card = builtin_methods().get(name)
    if card is not None:
        return card
    if name not in METHODS:
        raise ConfigError(f"method: unknown; got {name!r}{did_you_mean(name, known_methods())}")
    return METHODS.load(name)


def title_of(name: str) -> str:
    """Return a method's name as papers write it; an unknown name as it is."""
    card = _card_if_sound(name)
    return name if card is None else card.title


def losses_of(name: str) -> Mapping[str, str]:
    """Return the columns of losses that a method logs, and their labels; empty for an unknown name."""
    card = _card_if_sound(name)
    return {} if card is None else card.losses


def is_real(name: str) -> bool:
    """Return whether a method's images are real ones, whole or in pieces; no for an unknown name."""
    card = _card_if_sound(name)
    return card is not None and card.real


def _card_if_sound(name: str) -> Method | None:
    card = builtin_methods().get(name)
    if card is not None or name not in METHODS:
        return card
    try:
        return METHODS.load(name)
    except WmddError:
        return None


def method_of(tree: Tree) -> Method:
    """Return the method that settings name, or the default one.

    Raises:
        ConfigError: it is unknown or broken.
    """
    return find_method(str(tree.get("method", Recipe.model_fields["method"].default)))


def complete(tree: Tree, given: Tree | None = None) -> Recipe:
    """Return the recipe of the method that the settings name, every setting included.

    Args:
        tree: settings of a named recipe or a bench; those that belong to other methods are left out.
        given: settings of this very run, which come first: the method must read each.

    Raises:
        ConfigError: the method or a setting is unknown, a given one is not read, or a value does not fit.
    """
    required = dotted(given or {})
    settings = {**dotted(tree), **required}
    method = method_of(settings)
    kind = recipe_type(method.settings)
    read = setting_names(kind)
    require_read(required, [method])
    _require_known(name for name in settings if name not in read)
    return kind(**nested({name: value for name, value in settings.items() if name in read}))


def recipe_for(name: str, recipe: Recipe) -> Recipe:
    """Return the recipe of the method called `name` with the settings of another method's recipe.

    Those that only the other method reads are left out; those that only this one reads are at their defaults.

    Raises:
        ConfigError: there is no such method.
    """
    kind = recipe_type(find_method(name).settings)
    read = setting_names(kind)
    shared = {setting: value for setting, value in dotted(recipe.model_dump()).items() if setting in read}
    return kind(**nested({**shared, "method": name}))


def require_read(
    names: Iterable[str], methods: Iterable[Method], *, flags: Iterable[str] = (), command: str = "distill"
) -> None:
    """Refuse dotted settings that none of the methods reads: that of a run, or those of a bench's rows.

    Args:
        names: the settings.
        methods: those of the rows.
        flags: words of the command beside the settings, which may have been meant.
        command: whose help lists what there is.

    Raises:
        ConfigError: it is unknown, or belongs to other methods; the message says what these methods read.
    """
    cards = list(methods)
    read = {name: None for card in cards for name in setting_names(recipe_type(card.settings))}
    for name in names:
        if name not in read:
            _require_known([name], [*flags, *read], command)
            if name not in known_settings() and name.partition(".")[0] in {each.partition(".")[0] for each in read}:
                near = did_you_mean(name, read, otherwise=f"see `wmdd {command} --help`")  # of a package's method
                raise ConfigError(f"{name}: unknown setting{near}")
            none = f"method {cards[0].name} does not read it" if len(cards) == 1 else "no row reads it"
            raise ConfigError(f"{name}: {none}; leave it out, or set what is read: {_listed(read)}")


def _listed(read: Iterable[str]) -> str:
    """List settings in words: those of every run by section, those of the method one by one."""
    shared = {*Recipe.model_fields}
    sections = dict.fromkeys(f"{name.partition('.')[0]}.*" for name in read if "." in name)
    own = [name for name in read if name.partition(".")[0] not in shared]
    return ", ".join([*own, *(section for section in sections if section[:-2] in shared)])


def _require_known(names: Iterable[str], read: Iterable[str] = (), command: str = "distill") -> None:
    """Refuse settings that no method has; sections called like another package's method are left to that package."""
    builtin = known_settings()
    for name in (name for name in names if name not in builtin):
        packages = {method.replace("-", "_") for method in METHODS.names()}
        if name.partition(".")[0] not in packages:
            near = did_you_mean(name, [*read, *builtin], otherwise=f"see `wmdd {command} --help`")
            raise ConfigError(f"{name}: unknown setting{near}")


@cache
def known_settings() -> dict[str, None]:
    """Return the dotted settings of all built-in methods."""
    kinds = [recipe_type(card.settings) for card in builtin_methods().values()]
    return dict.fromkeys(name for kind in kinds for name in setting_names(kind))


def read_recipe(path: Path) -> Tree:
    """Read settings from a YAML file, such as a run's `recipe.yaml`.

    A file that names its method may hold only what that method reads; one that does not may hold settings of several.

    Raises:
        ConfigError: the file cannot be read or has wrong settings; the message names the file.
    """
    tree = read_tree(path)
    try:
        complete({}, tree) if "method" in tree else complete(tree)
    except WmddError as error:
        raise ConfigError(f"{path}: {error}") from None
    return tree
