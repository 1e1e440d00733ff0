"""A registry keeps what is needed, and nothing that the program has dropped for good."""

import gc
import weakref

import pytest

from kern.agent import Agent
from kern.components.registry import Registry
from kern.errors import InvalidDefinition, NotFound
from kern.models.scripted import ScriptedModel
from kern.team import Team


def agent(name: str, instructions: str = "Help.") -> Agent:
    return Agent(id=name, instructions=instructions, model=ScriptedModel(["ok"]))


def test_a_component_that_the_program_has_is_no_orphan() -> None:
    registry, support = Registry(), agent("support")
    registry.register(support)
    gc.collect()
    assert registry.orphans() == []
    assert registry.get("support") is support


def test_a_dropped_component_is_kept_until_it_is_forgotten() -> None:
    registry, support = Registry(), agent("support")
    registry.register(support)
    gone = weakref.ref(support)
    del support
    (orphan,) = registry.orphans()
    assert registry.get("support") is orphan.component
    assert registry.forget(orphan.component)
    del orphan
    gc.collect()
    assert gone() is None
    assert registry.ids == ()
    with pytest.raises(NotFound):
        registry.get("support")


def test_a_component_that_only_a_search_for_cycles_finds_unused_is_kept_too() -> None:
    registry, support = Registry(), agent("support")
    vars(support)["itself"] = support
    registry.register(support)
    del support
    gc.collect()
    (orphan,) = registry.orphans()
    assert registry.find("support") is orphan.component


def test_the_same_declaration_again_takes_the_place_of_an_orphan() -> None:
    registry = Registry()
    registry.register(agent("support"))
    (orphan,) = registry.orphans()
    again = agent("support")
    registry.register(again)
    assert registry.orphans() == []
    assert registry.get("support") is again
    # Whoever was about to forget the orphan has come too late.
    assert not registry.forget(orphan.component)
    assert registry.get("support") is again


def test_a_dropped_copy_leaves_the_one_that_the_program_still_has() -> None:
    registry, support = Registry(), agent("support")
    registry.register(support)
    registry.register(agent("support"))
    assert registry.orphans() == []
    assert registry.get("support") is support


def test_an_id_stands_for_one_declaration_also_after_it_was_forgotten() -> None:
    registry = Registry()
    registry.register(agent("support"))
    for orphan in registry.orphans():
        registry.forget(orphan.component)
    with pytest.raises(InvalidDefinition, match="Two different components"):
        registry.register(agent("support", "Refuse."))
    again = agent("support")
    registry.register(again)
    assert registry.get("support") is again


def test_members_are_kept_as_long_as_their_team() -> None:
    registry = Registry()
    team = Team(id="desk", members=[agent("support")], model=ScriptedModel(["ok"]))
    registry.register(team)
    assert registry.added_by(team) == set()
    del team
    gc.collect()
    assert [orphan.component.id for orphan in registry.orphans()] == ["desk"]
    registry.forget(registry.orphans()[0].component)
    gc.collect()
    assert [orphan.component.id for orphan in registry.orphans()] == ["support"]


def test_a_process_that_executes_nothing_keeps_no_orphans() -> None:
    registry = Registry()
    registry.keeps_orphans = False
    registry.register(agent("support"))
    assert registry.ids == ()


def test_what_a_component_would_add_is_counted_with_its_parts() -> None:
    registry, support = Registry(), agent("support")
    team = Team(id="desk", members=[support, agent("billing")], model=ScriptedModel(["ok"]))
    registry.register(support)
    assert registry.added_by(team) == {"desk", "billing"}
