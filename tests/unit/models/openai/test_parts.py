"""What a server is sent of the images and files of a message, over real HTTP, in both protocols."""

import base64

import pytest
from openai.types.chat import ChatCompletionUserMessageParam
from openai.types.responses import EasyInputMessageParam
from pydantic import JsonValue, TypeAdapter

from kern.media import File, FileContent, Image
from kern.models.base import ModelRequest
from kern.models.openai import OpenAIChat, OpenAIResponses
from kern.run import FileReference, Message
from tests.support.model_server import ModelServer
from tests.support.pictures import PDF, png

PNG_URL = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
PDF_URL = f"data:application/pdf;base64,{base64.b64encode(PDF).decode()}"
CAT = "https://example.org/cat.jpg"


def content(media: Image | File) -> FileContent:
    """Return what a turn hands to a model for this."""
    read = media.read()
    return FileContent(
        id="1",
        name=read.name,
        media_type=read.media_type,
        size=len(read.data),
        url=read.url,
        data=read.data,
    )


def message(*files: Image | File, text: str = "Look") -> Message:
    return Message(role="user", content=text, files=[content(one) for one in files])


async def sent(kind: type[OpenAIResponses | OpenAIChat], *messages: Message) -> list[JsonValue]:
    """Return the content of each message that the server got."""
    with ModelServer(["Seen."]) as server:
        model = kind("m", base_url=server.base_url)
        assert (await model.respond(ModelRequest(messages=messages))).content == "Seen."
    return [item["content"] for item in server.requests[0].conversation]


EVERYTHING = message(
    Image(data=png()),
    Image(url=CAT),
    File(data=PDF, name="bill.pdf"),
    File(data="Größe,1\n".encode(), name="sizes.csv"),
)


async def test_responses_are_sent_in_its_parts() -> None:
    [parts] = await sent(OpenAIResponses, EVERYTHING)
    assert parts == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": PNG_URL, "detail": "auto"},
        {"type": "input_image", "image_url": CAT, "detail": "auto"},
        {"type": "input_file", "filename": "bill.pdf", "file_data": PDF_URL},
        {"type": "input_text", "text": "[File sizes.csv]\nGröße,1\n"},
    ]
    TypeAdapter(EasyInputMessageParam).validate_python({"role": "user", "content": parts})


async def test_chats_are_sent_in_its_parts() -> None:
    [parts] = await sent(OpenAIChat, EVERYTHING)
    assert parts == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": PNG_URL}},
        {"type": "image_url", "image_url": {"url": CAT}},
        {"type": "file", "file": {"filename": "bill.pdf", "file_data": PDF_URL}},
        {"type": "text", "text": "[File sizes.csv]\nGröße,1\n"},
    ]
    TypeAdapter(ChatCompletionUserMessageParam).validate_python({"role": "user", "content": parts})


both = pytest.mark.parametrize("kind", [OpenAIResponses, OpenAIChat])


@both
async def test_an_image_may_come_without_words(kind: type[OpenAIResponses | OpenAIChat]) -> None:
    [parts] = await sent(kind, message(Image(url=CAT), text=""))
    assert isinstance(parts, list)
    assert len(parts) == 1


@both
async def test_a_message_without_files_stays_a_text(
    kind: type[OpenAIResponses | OpenAIChat],
) -> None:
    parts, before = await sent(kind, message(), message(Image(url=CAT)))
    assert parts == "Look"
    assert isinstance(before, list)


@both
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ufeffGröße".encode(), "Größe"),
        ("Größe".encode("utf-16"), "Größe"),
        ("Größe".encode("cp1252"), "Größe"),
        (b"a\x00b", "a\ufffdb"),
    ],
)
async def test_a_text_is_read_in_the_way_in_which_it_was_written(
    kind: type[OpenAIResponses | OpenAIChat], data: bytes, text: str
) -> None:
    [parts] = await sent(kind, message(File(data=data, name="a.txt")))
    assert isinstance(parts, list)
    assert isinstance(parts[1], dict)
    assert parts[1]["text"] == f"[File a.txt]\n{text}"


@both
async def test_what_is_only_referred_to_is_named(kind: type[OpenAIResponses | OpenAIChat]) -> None:
    reference = FileReference(id="1", name="a.pdf", media_type="application/pdf", size=7)
    [parts] = await sent(kind, Message(role="user", files=[reference]))
    assert isinstance(parts, list)
    assert isinstance(parts[0], dict)
    assert parts[0]["text"] == "[File a.pdf: application/pdf, 7 bytes]"
