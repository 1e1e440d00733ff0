"""Models over the Responses protocol, used so that the server need not keep anything."""

from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from kern.models.base import Delta, ModelRequest, ModelResponse, OutputSpec
from kern.models.openai import payload, schema
from kern.models.openai.errors import Target, reported_error
from kern.models.openai.model import OpenAIModel
from kern.models.openai.parts import Document, Part, Picture, Text, content_of
from kern.models.openai.responses_stream import ResponseAssembler
from kern.run import Message, RequestedCall
from kern.values.canonical import clean_text

PROVIDER = "openai.responses"

Json = dict[str, JsonValue]


class OpenAIResponses(OpenAIModel):
    """A model over `/responses`: each call sends the whole conversation and has nothing stored."""

    _path = "/responses"

    def _body(self, request: ModelRequest) -> Json:
        tools: list[JsonValue] = [
            {"type": "function", **schema.function(tool)} for tool in request.tools
        ]
        return {
            "model": self.id,
            "instructions": clean_text(request.instructions) if request.instructions else None,
            "input": list(_conversation(request.messages)),
            "store": False,
            "tools": tools or None,
            "tool_choice": "none" if tools and not request.may_call_tools else None,
            "text": _text_format(request.output),
            "temperature": self.temperature,
            "max_output_tokens": self.max_output_tokens,
            "reasoning": self.reasoning,
            # What is stored nowhere else must come back with the conversation.
            "include": ["reasoning.encrypted_content"] if self.reasoning else None,
        }

    def _assembler(self, on_delta: Delta) -> ResponseAssembler:
        return ResponseAssembler(on_delta)

    def _read(self, answer: Json, target: Target, position: int) -> ModelResponse:
        if answer.get("error") or answer.get("status") in {"failed", "cancelled"}:
            raise reported_error(target, answer.get("error"))
        items = [payload.without_nones(item) for item in payload.objects(answer.get("output"))]
        content = clean_text("\n\n".join(filter(None, map(_message_text, items))))
        calls: list[RequestedCall] = []
        for item in items:
            if item.get("type") == "function_call":
                calls.append(_call(item, f"call_{position}_{len(calls)}"))
        if answer.get("status") == "incomplete" and not content and not calls:
            raise _cut_short(target, answer)
        return ModelResponse(
            content=content,
            tool_calls=calls,
            provider=PROVIDER,
            items=[payload.clean(item) for item in items],
            usage=payload.usage(answer.get("usage"), ("input", "output")),
        )


def _conversation(messages: Sequence[Message]) -> Iterator[JsonValue]:
    for message in messages:
        match message.role:
            case "assistant" if message.provider == PROVIDER and message.items:
                yield from _replayed(message.items)
            case "assistant":
                if message.content:
                    yield {"role": "assistant", "content": clean_text(message.content)}
                for call in message.tool_calls:
                    yield {
                        "type": "function_call",
                        "call_id": call.id,
                        "name": call.name,
                        "arguments": payload.sendable_arguments(call.arguments),
                    }
            case "tool":
                yield {
                    "type": "function_call_output",
                    "call_id": message.tool_call_id,
                    "output": clean_text(message.content),
                }
            case role:
                yield {"role": role, "content": content_of(message, _part)}


def _part(part: Part) -> Json:
    match part:
        case Text(text):
            return {"type": "input_text", "text": text}
        case Picture(url):
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        case Document(name, url):
            return {"type": "input_file", "filename": name, "file_data": url}


def _replayed(items: list[Json]) -> list[Json]:
    sendable = [item for item in items if not _is_empty_reasoning(item)]
    if len(sendable) == len(items):
        return items
    # An id would have the server look for the reasoning that belongs to it.
    return [{key: value for key, value in item.items() if key != "id"} for item in sendable]


def _is_empty_reasoning(item: Json) -> bool:
    """Whether `item` is a mere reference, which a server that stored nothing refuses."""
    reasons = item.get("encrypted_content") or item.get("content")
    return item.get("type") == "reasoning" and not reasons


def _text_format(output: OutputSpec | None) -> Json | None:
    if output is None:
        return None
    return {"format": {"type": "json_schema", **schema.output_format(output)}}


def _message_text(item: Json) -> str:
    if item.get("type") != "message":
        return ""
    content = item.get("content")
    parts = payload.objects(content)
    return payload.text(content) or "".join(
        payload.text(part.get("text")) or payload.text(part.get("refusal")) for part in parts
    )


def _call(item: Json, spare_id: str) -> RequestedCall:
    """Read a call and make its item fit for sending back."""
    raw = payload.arguments_text(item.get("arguments"))
    call_id = payload.text(item.get("call_id")) or payload.text(item.get("id")) or spare_id
    item |= {"call_id": call_id, "arguments": payload.sendable_arguments(raw)}
    name = clean_text(payload.text(item.get("name")))
    return RequestedCall(id=clean_text(call_id), name=name, arguments=raw)


def _cut_short(target: Target, answer: Json) -> Exception:
    details = payload.mapping(answer.get("incomplete_details"))
    reason = payload.text(details.get("reason")) or "no reason given"
    problem = f"the answer was cut short before it said anything ({reason})"
    step = "Raise `max_output_tokens`, or ask for less reasoning."
    if reason == "content_filter":
        step = "Change the input: the provider's filter stopped the answer."
    return target.error(problem, code="refused", retryable=False, next_step=step)
