"""The addresses of the console's pages."""

from kern.client.console.addresses import INBOX, RUNS, with_query


def test_what_is_empty_is_no_part_of_a_query() -> None:
    assert with_query(INBOX) == INBOX
    assert with_query(RUNS, status="", q="") == RUNS
    assert with_query(RUNS, status="", q="a b&c", after="7") == f"{RUNS}?q=a+b%26c&after=7"
