"""Keys decide only what is there to be decided."""

import pytest

from kern.client.cli.walk.keys import TRIAGE_KEYS, verb_for, verbs_of
from kern.requirements import Bounds, RequirementKind
from tests.support.walk_samples import requirement

MOVING = set("wonjkpu?q") | TRIAGE_KEYS


@pytest.mark.parametrize("kind", RequirementKind)
def test_no_key_means_two_things(kind: RequirementKind) -> None:
    keys = [verb.key for verb in verbs_of(requirement(kind))]
    assert len(set(keys)) == len(keys)
    assert not MOVING & set(keys)


def test_what_may_not_be_edited_has_no_key_for_it() -> None:
    assert verb_for(requirement(bounds={}), "e") is None
    assert verb_for(requirement(bounds={"amount": Bounds()}), "e") is not None


def test_digits_choose_and_decide_nothing_else() -> None:
    item = requirement(RequirementKind.user_feedback, choices=["a"])
    assert verb_for(item, "7") is not None
    assert verb_for(item, "0") is None
    assert verb_for(requirement(), "1") is None


def test_a_label_has_its_key_in_brackets() -> None:
    assert [verb.label for verb in verbs_of(requirement())] == [
        "[a]pprove",
        "[r]eject",
        "[e]dit",
    ]
