"""The catalogue: every folder is a method, and its card tells the truth."""

from pathlib import Path

import pytest

import wmdd.methods
from wmdd.errors import ConfigError
from wmdd.methods import Algorithm
from wmdd.methods.algorithm import load_algorithm
from wmdd.methods.catalogue import builtin_methods, complete, find_method, losses_of, require_read, title_of
from wmdd.models.names import check_name
from wmdd.settings.recipe import setting_names


def test_every_folder_is_a_method() -> None:
    folders = {path.parent.name for path in Path(wmdd.methods.__path__[0]).glob("*/__init__.py")} - {"kits"}
    assert {name.replace("-", "_").replace("+", "_plus") for name in builtin_methods()} == folders


@pytest.mark.parametrize("name", builtin_methods())
def test_a_card_tells_the_truth(name: str) -> None:
    card, recipe = find_method(name), complete({"method": name})
    assert card.name == name
    assert all((card.title, card.summary, card.source, card.stages))
    assert isinstance(load_algorithm(card), Algorithm)
    assert {kind.section for kind in card.settings} <= {each.partition(".")[0] for each in setting_names(type(recipe))}
    for arch in card.network_names(recipe):
        check_name(arch)


def test_unknown_methods_are_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="got 'wmd'; did you mean 'wmdd'"):
        find_method("wmd")


def test_a_title_and_losses_can_be_asked_of_anybody() -> None:
    assert (title_of("sre2l"), title_of("nobody")) == ("SRe2L", "nobody")
    assert losses_of("dm")["loss"]
    assert losses_of("nobody") == {}


def test_a_setting_that_the_method_does_not_read_is_refused_with_those_that_it_reads() -> None:
    with pytest.raises(ConfigError, match=r"recover\.lr: method dm does not read it; .*dm\.arch.*squeeze\.\*"):
        complete({}, {"method": "dm", "recover.lr": 1.0})
    with pytest.raises(ConfigError, match="recover.feature_loss: method sre2l does not read it"):
        complete({"method": "sre2l"}, {"recover": {"feature_loss": "none"}})
    with pytest.raises(ConfigError, match="gvbsm.bn: unknown setting"):
        complete({"method": "gvbsm"}, {"gvbsm.bn": "none"})
    require_read(["recover.lr", "dm.lr"], [find_method("wmdd"), find_method("dm")])


def test_a_recipe_of_several_methods_gives_each_its_own() -> None:
    tree = {"recover": {"lr": 0.5, "feature_loss": "none"}, "dm.lr": 2.0}
    assert complete({**tree, "method": "dm"}).of(find_method("dm").settings[0]).lr == 2.0  # pyright: ignore
    assert not hasattr(complete({**tree, "method": "dm"}), "recover")
    inverted = complete({**tree, "method": "inversion"}).recover  # pyright: ignore[reportAttributeAccessIssue]
    assert (inverted.lr, inverted.bn) == (0.5, "global")


def test_settings_that_nobody_has_are_refused_wherever_they_stand() -> None:
    with pytest.raises(ConfigError, match="did you mean 'recover.lr'"):
        complete({"method": "dm", "recover.lrr": 1.0})
