"""Static files are the ones that were reviewed, under addresses that change with them."""

from pathlib import Path

import pytest

from kern.client.console import static_files as module
from kern.client.console.addresses import STATIC
from kern.client.console.static_files import static_files, static_url

# Of htmx.org 4.0.1: `dist/htmx.min.js` of the package.
DIGESTS = {
    "style.css": "f519ef1d5927e834ee2a5c0195ba2b03660faae28e66ba64874f1b670a3ab723",
    "icon.svg": "400e053a890c88858e60114543947fa3154976f48e53248fec2e8a97f9ca910b",
    "desk.js": "5ac2743b16fa5add1e43fa6793ef080aaa3b53fd621e18ee6d64461bd96024c4",
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
}


def test_the_files_are_the_ones_that_were_reviewed() -> None:
    assert {file.name: file.digest for file in static_files().values()} == DIGESTS


def test_an_address_holds_the_digest_and_the_kind() -> None:
    for url, file in static_files().items():
        stem, digest, suffix = url.removeprefix(STATIC).rsplit(".", 2)
        assert file.digest.startswith(digest)
        assert f"{stem}.{suffix}" == file.name
        types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
        assert file.content_type.startswith(types[suffix])
        assert static_url(file.name) == url


def test_each_file_has_a_licence_and_nothing_else_lies_there() -> None:
    assert {file.name: file.licence for file in static_files().values()} == {
        "style.css": "Apache-2.0",
        "desk.js": "Apache-2.0",
        "icon.svg": "Apache-2.0",
        "htmx.min.js": "0BSD",
    }
    folder = Path(module.__file__).with_name("static")
    assert {path.name for path in folder.iterdir()} == {*DIGESTS, "htmx.LICENSE.txt"}


def test_an_unknown_file_has_no_address() -> None:
    with pytest.raises(KeyError):
        static_url("other.css")
