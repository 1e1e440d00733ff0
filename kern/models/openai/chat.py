"""Models over the Chat Completions protocol, which nearly every server speaks."""

from collections.abc import Iterator

from pydantic import JsonValue

from kern.errors import InvalidDefinition
from kern.models.base import Delta, ModelRequest, ModelResponse, OutputSpec
from kern.models.openai import payload, schema
from kern.models.openai.chat_stream import ChatAssembler
from kern.models.openai.errors import Target, reported_error
from kern.models.openai.model import OpenAIModel
from kern.models.openai.parts import Document, Part, Picture, Text, content_of
from kern.run import Message, RequestedCall
from kern.values.canonical import clean_text

PROVIDER = "openai.chat"

Json = dict[str, JsonValue]


class OpenAIChat(OpenAIModel):
    """A model over `/chat/completions`; of `reasoning` only `effort` can be sent."""

    _path = "/chat/completions"

    def _body(self, request: ModelRequest) -> Json:
        tools: list[JsonValue] = [
            {"type": "function", "function": schema.function(tool)} for tool in request.tools
        ]
        return {
            "model": self.id,
            "messages": list(_conversation(request)),
            "tools": tools or None,
            "tool_choice": "none" if tools and not request.may_call_tools else None,
            "response_format": _response_format(request.output),
            "temperature": self.temperature,
            "max_completion_tokens": self.max_output_tokens,
            "reasoning_effort": self._effort(),
        }

    def _effort(self) -> JsonValue:
        if self.reasoning is None:
            return None
        if set(self.reasoning) != {"effort"}:
            message = (
                f"OpenAIChat cannot send reasoning={self.reasoning!r}: its protocol knows only "
                f"`effort`. Use OpenAIResponses, or put the provider's own field in `extra`."
            )
            raise InvalidDefinition(message)
        return self.reasoning["effort"]

    def _stream_fields(self) -> Json:
        return {"stream": True, "stream_options": {"include_usage": True}}

    def _assembler(self, on_delta: Delta) -> ChatAssembler:
        return ChatAssembler(on_delta)

    def _read(self, answer: Json, target: Target, position: int) -> ModelResponse:
        choices = payload.objects(answer.get("choices"))
        if answer.get("error") or not choices:
            error = answer.get("error") or {"message": "the answer holds no choices"}
            raise reported_error(target, error)
        message = payload.without_nones(payload.mapping(choices[0].get("message")))
        content = clean_text(_content(message.get("content")) or _content(message.get("refusal")))
        raw_calls = payload.objects(message.pop("tool_calls", None))
        calls = [_call(raw, f"call_{position}_{n}") for n, raw in enumerate(raw_calls)]
        reason = payload.text(choices[0].get("finish_reason"))
        if reason in {"length", "content_filter"} and not content and not calls:
            raise _cut_short(target, reason)
        message["role"] = "assistant"
        if raw_calls:
            message["tool_calls"] = list[JsonValue](raw_calls)
        else:
            message.setdefault("content", content)
        return ModelResponse(
            content=content,
            tool_calls=calls,
            provider=PROVIDER,
            items=[payload.clean(message)],
            usage=payload.usage(answer.get("usage"), ("prompt", "completion")),
        )


def _conversation(request: ModelRequest) -> Iterator[JsonValue]:
    if request.instructions:
        yield {"role": "system", "content": clean_text(request.instructions)}
    for message in request.messages:
        match message.role:
            case "assistant" if message.provider == PROVIDER and message.items:
                yield from message.items
            case "assistant":
                yield _rebuilt(message)
            case "tool":
                yield {
                    "role": "tool",
                    "tool_call_id": message.tool_call_id,
                    "content": clean_text(message.content),
                }
            case role:
                yield {"role": role, "content": content_of(message, _part)}


def _part(part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Picture(url):
            return {"type": "image_url", "image_url": {"url": url}}
        case Document(name, url):
            return {"type": "file", "file": {"filename": name, "file_data": url}}


def _rebuilt(message: Message) -> Json:
    calls: list[JsonValue] = [
        {
            "id": call.id,
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": payload.sendable_arguments(call.arguments),
            },
        }
        for call in message.tool_calls
    ]
    rebuilt: Json = {"role": "assistant", "content": clean_text(message.content)}
    if calls:
        rebuilt["tool_calls"] = calls
    return rebuilt


def _response_format(output: OutputSpec | None) -> Json | None:
    if output is None:
        return None
    return {"type": "json_schema", "json_schema": schema.output_format(output)}


def _content(value: JsonValue) -> str:
    """Read text that some servers send as a list of parts."""
    parts = payload.objects(value)
    return payload.text(value) or "".join(
        payload.text(part.get("text")) or payload.text(part.get("refusal")) for part in parts
    )


def _call(raw: Json, spare_id: str) -> RequestedCall:
    """Read a call and make what the server sent fit for sending back."""
    function = payload.mapping(raw.get("function"))
    arguments = payload.arguments_text(function.get("arguments"))
    name = payload.text(function.get("name"))
    call_id = payload.text(raw.get("id")) or spare_id
    sendable: Json = {"name": name, "arguments": payload.sendable_arguments(arguments)}
    raw |= {"id": call_id, "type": "function", "function": function | sendable}
    return RequestedCall(id=clean_text(call_id), name=clean_text(name), arguments=arguments)


def _cut_short(target: Target, reason: str) -> Exception:
    problem = f"the answer was cut short before it said anything (finish_reason {reason!r})"
    step = "Raise `max_output_tokens`, or ask for less reasoning."
    if reason == "content_filter":
        step = "Change the input: the provider's filter stopped the answer."
    return target.error(problem, code="refused", retryable=False, next_step=step)
