"""`kern inbox`: a walk at a terminal, a table off one, or the page of the API."""

from collections.abc import Callable
from dataclasses import dataclass

from kern.client.api.resources import RequirementResource
from kern.client.cli import prompts
from kern.client.cli.access import connected, perform
from kern.client.cli.inbox import print_page
from kern.client.cli.printing import say_json
from kern.client.cli.walk.query import InboxQuery
from kern.contracts.viewer import present_operator
from kern.errors import InvalidInput
from kern.process.clock import utc_now


@dataclass(frozen=True)
class PageOptions:
    """How the inbox is shown.

    Attributes:
        limit: How many a page has at most.
        after: The last one of the page before.
        is_watching: Whether to stay open for what comes later.
        as_json: Whether it is for a program.
    """

    limit: int
    after: str | None = None
    is_watching: bool = False
    as_json: bool = False


def open_inbox(query: InboxQuery, options: PageOptions, name_of: Callable[[], str]) -> int:
    """Walk through what waits, or print it where nobody can be asked; return the exit code.

    Args:
        query: What waits.
        options: How it is shown.
        name_of: Says who decides; it is asked only where somebody does.

    Raises:
        InvalidInput: to watch takes a terminal.
    """
    if options.as_json or not prompts.can_ask():
        if options.is_watching:
            message = "--watch walks at a terminal: leave it out, or follow the feed of the API."
            raise InvalidInput(message)
        _print(query, options)
        return 0
    # Slow to import, and of use at a terminal only.
    from kern.client.cli.walk.keyboard import Keyboard
    from kern.client.cli.walk.terminal import Terminal
    from kern.client.cli.walk.walk import Walk

    name = name_of()
    with connected() as connection, Keyboard().opened() as keyboard:
        walk = Walk(connection, query, name, Terminal(keyboard), is_watching=options.is_watching)
        return walk.run()


def _print(query: InboxQuery, options: PageOptions) -> None:
    page = perform(
        lambda service: query.page(
            service, present_operator(), utc_now(), limit=options.limit, cursor=options.after
        )
    )
    if options.as_json:
        items = [RequirementResource.of(item).model_dump(mode="json") for item in page.requirements]
        say_json({"items": items, "next": page.next_cursor})
        return
    print_page(page, "inbox")
