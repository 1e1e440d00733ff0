"""Images and files as users write them: where they come from, what they are, what is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kern import media
from kern.errors import InvalidInput
from kern.media import File, FileContent, Image
from tests.support.pictures import JPEG, PDF, png

SECRET = b"unmistakable bytes"


def on_disk(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_an_image_is_read_from_a_path(tmp_path: Path) -> None:
    found = Image(path=on_disk(tmp_path, "chart.png", png())).read()
    assert (found.name, found.media_type, found.data) == ("chart.png", "image/png", png())


@pytest.mark.parametrize(
    ("data", "media_type", "name"),
    [
        (png(), "image/png", "image.png"),
        (JPEG, "image/jpeg", "image.jpg"),
        (b"GIF89a" + bytes(9), "image/gif", "image.gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp", "image.webp"),
    ],
)
def test_an_image_in_memory_is_known_by_its_first_bytes(
    data: bytes, media_type: str, name: str
) -> None:
    found = Image(data=data).read()
    assert (found.media_type, found.name) == (media_type, name)


def test_the_bytes_of_an_image_are_believed_more_than_its_name() -> None:
    assert Image(data=JPEG, name="photo.png").read().media_type == "image/jpeg"


@pytest.mark.parametrize(
    ("name", "data", "media_type"),
    [
        ("orders.csv", b"a,b\n", "text/csv"),
        ("notes.md", b"# Notes", "text/markdown"),
        ("data.json", b"{}", "application/json"),
        ("bill.pdf", PDF, "application/pdf"),
        ("bill", PDF, "application/pdf"),
        ("README", "Grüße".encode(), "text/plain"),
        ("orders.csv.gz", b"\x1f\x8b\x08\x00", "application/gzip"),
        (
            "plan.xlsx",
            b"PK\x03\x04\xff",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
    ],
)
def test_a_file_is_known_by_its_name_else_by_its_bytes(
    name: str, data: bytes, media_type: str
) -> None:
    assert File(data=data, name=name).read().media_type == media_type


def test_what_is_said_stands() -> None:
    found = File(data=b"\x00\xff", media_type="Application/X-Own; charset=x", name="a.pdf").read()
    assert (found.media_type, found.name) == ("application/x-own", "a.pdf")


def test_a_url_is_passed_on_and_never_fetched() -> None:
    found = Image(url="https://nowhere.invalid/a%20b/cat.jpeg?size=1").read()
    assert (found.name, found.media_type, found.data) == ("cat.jpeg", "image/jpeg", b"")
    assert found.url == "https://nowhere.invalid/a%20b/cat.jpeg?size=1"
    assert Image(url="https://nowhere.invalid/").read().media_type == "image/*"
    # A file whose bytes are the address is another one.
    assert found.digest != File(data=str(found.url).encode(), name="a.txt").read().digest


@pytest.mark.parametrize(
    "url",
    ["cat.png", "file:///etc/passwd", "data:image/png;base64,AA==", "https://", "https://x/\x00"],
)
def test_other_addresses_than_of_the_web_are_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="url of an Image"):
        Image(url=url)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "was given nothing"),
        ({"path": "a.png", "data": b"x"}, "was given path and data"),
        ({"data": b"x", "media_type": "png"}, "is no media type"),
        ({"data": b"x", "media_type": "image/png\r\nx: y"}, "is no media type"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(given: dict[str, object], why: str) -> None:
    for kind in (Image, File):
        with pytest.raises(InvalidInput, match=why):
            kind.model_validate(given)


def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"File 'gone.pdf' cannot be read: .* does not exist"):
        File(path=tmp_path / "gone.pdf").read()
    with pytest.raises(InvalidInput, match="is no file"):
        File(path=tmp_path).read()
    with pytest.raises(InvalidInput, match="cannot be read"):
        File(path=Path("a\x00b")).read()
    with pytest.raises(InvalidInput, match=r"File 'empty\.txt' is empty"):
        File(path=on_disk(tmp_path, "empty.txt", b"")).read()
    with pytest.raises(InvalidInput, match="neither from its name nor from its bytes"):
        File(path=on_disk(tmp_path, "blob", b"\x00\xff")).read()
    with pytest.raises(InvalidInput, match=r"is no image but application/pdf: pass it in `files`"):
        Image(path=on_disk(tmp_path, "bill.png", PDF)).read()


def test_only_twenty_megabytes_are_taken(tmp_path: Path) -> None:
    path = on_disk(tmp_path, "large.txt", b"x" * media.LARGEST)
    assert len(File(path=path).read().data) == 20_000_000
    with path.open("ab") as file:
        file.write(b"x")
    for large in (File(path=path), File(data=b"x" * (media.LARGEST + 1), name="large.txt")):
        with pytest.raises(InvalidInput, match=r"'large.txt' is larger than 20,000,000 bytes"):
            large.read()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\bills\\may.txt", "may.txt"),
        ("a\nb.txt", "a b.txt"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
        ("a\x00\ud800.txt", "a�?.txt"),
        ("..", "file.txt"),
    ],
)
def test_a_name_is_one_line_without_folders(name: str, kept: str) -> None:
    assert File(data=b"x", media_type="text/plain", name=name).read().name == kept


def test_no_bytes_are_shown() -> None:
    image = Image(data=SECRET, media_type="image/png")
    content = FileContent(id="1", name="a", media_type="image/png", size=1, data=SECRET)
    shown = [repr(one) + str(one) for one in (image, File(data=SECRET), image.read(), content)]
    shown += [content.model_dump_json(), str(content.model_dump())]
    assert not [one for one in shown if "unmistakable" in one]
    with pytest.raises(InvalidInput, match=r"Image: data: .*bytes") as caught:
        Image.model_validate({"data": [SECRET]})
    assert "unmistakable" not in str(caught.value)


def test_they_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Image(data=SECRET).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("images", "files", "why"),
    [
        ([File(data=b"x")], [], r"images takes a list of Image, not File"),
        ([], [Image(data=b"x")], r"files takes a list of File, not Image"),
        (["a.png"], [], "not str: write images="),
        (Image(data=b"x"), [], "images takes a list of Image"),
        ([], [SECRET], "not bytes"),
        (5, [], "not int"),
    ],
)
def test_anything_else_in_their_place_is_refused(images: object, files: object, why: str) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        media.collect(images, files)  # type: ignore[arg-type]
    assert "unmistakable" not in str(caught.value)


def test_a_run_takes_so_many_and_no_more() -> None:
    assert len(media.collect([], [File(data=b"x")] * 50)) == 50
    with pytest.raises(InvalidInput, match="up to 50 images and files together, not 51"):
        media.collect([Image(data=b"x")], [File(data=b"x")] * 50)


def test_none_is_no_images() -> None:
    assert media.collect(None, None) == ()


def test_a_name_that_is_none_is_told_without_what_was_given() -> None:
    given: Any = {"data": SECRET, "name": 5}
    with pytest.raises(InvalidInput, match="File: name: input should be a valid string"):
        File(**given)
