"""The tenant for which code acts."""

import asyncio
import threading

import pytest

from kern.errors import InvalidInput
from kern.process.settings import read_settings
from kern.process.tenants import acting_for, named_tenant, present_tenant


def test_code_names_a_tenant_before_its_process_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (named_tenant(), present_tenant()) == (None, "")
    monkeypatch.setenv("KERN_TENANT", "acme")
    assert (named_tenant(), present_tenant()) == ("acme", "acme")
    with acting_for("globex"):
        assert named_tenant() == "globex"
        with acting_for(""):
            assert (named_tenant(), present_tenant()) == ("", "")
        assert named_tenant() == "globex"
    assert named_tenant() == "acme"


def test_an_empty_variable_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_TENANT", "")
    assert named_tenant() is None
    assert read_settings().tenant is None


@pytest.mark.parametrize("value", [" acme", "acme\n", "kern:acme"])
def test_what_can_be_no_tenant_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KERN_TENANT", value)
    with pytest.raises(InvalidInput, match="KERN_TENANT is"):
        named_tenant()
    with pytest.raises(InvalidInput, match="KERN_TENANT is"):
        read_settings()
    with pytest.raises(InvalidInput, match="tenant is"), acting_for(value):
        pass


def test_a_task_inherits_and_a_thread_does_not() -> None:
    seen: list[str | None] = []

    async def tasks() -> None:
        async def inside() -> str | None:
            with acting_for("globex"):
                await asyncio.sleep(0)
                return named_tenant()

        with acting_for("acme"):
            seen.extend(await asyncio.gather(inside(), asyncio.to_thread(named_tenant)))
            seen.append(named_tenant())
            thread = threading.Thread(target=lambda: seen.append(named_tenant()))
            thread.start()
            thread.join()

    asyncio.run(tasks())
    assert seen == ["globex", "acme", "acme", None]
