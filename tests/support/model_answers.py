"""What the scripted model server says, written as the two OpenAI protocols write it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from kern.models.scripted import Call

Json = dict[str, JsonValue]


@dataclass(frozen=True)
class Answer:
    """One answer; `bare` streams it without numbers, `final=False` without what closes a stream."""

    text: str = ""
    calls: Sequence[Call] = ()
    reasoning: str | None = None
    refusal: str | None = None
    cut: str | None = None
    usage: bool = True
    bare: bool = False
    final: bool = True
    fields: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """A body, or the events of a stream, to be sent as they are."""

    body: JsonValue = None
    events: Sequence[JsonValue] = ()


Step = str | Call | Answer | Raw | Sequence[str | Call]


def as_answer(step: Step) -> Answer | Raw:
    """Return what `step` is short for."""
    if isinstance(step, Answer | Raw):
        return step
    parts = [step] if isinstance(step, str | Call) else step
    text = "".join(part for part in parts if isinstance(part, str))
    return Answer(text, [part for part in parts if isinstance(part, Call)])


def items_of(answer: Answer, turn: int) -> list[Json]:
    """Write the output items of a response."""
    items: list[Json] = []
    if answer.reasoning is not None:
        secret = f"sealed:{answer.reasoning}"
        items.append(
            {"id": f"rs_{turn}", "type": "reasoning", "summary": [], "encrypted_content": secret}
        )
    if answer.text or answer.refusal:
        part: Json = {"type": "output_text", "text": answer.text, "annotations": []}
        if answer.refusal:
            part = {"type": "refusal", "refusal": answer.refusal}
        items.append(
            {"id": f"msg_{turn}", "type": "message", "role": "assistant", "content": [part]}
        )
    for number, call in enumerate(answer.calls):
        items.append(
            {
                "id": f"fc_{turn}_{number}",
                "type": "function_call",
                "call_id": f"call_{turn}_{number}",
                "name": call.name,
                "arguments": call.arguments_text,
            }
        )
    for item in items:
        item.update({"status": "completed", **answer.fields})
    return items


def response_body(answer: Answer, turn: int) -> Json:
    """Write a whole response."""
    body: Json = {
        "id": f"resp_{turn}",
        "object": "response",
        "created_at": time.time(),
        "status": "incomplete" if answer.cut else "completed",
        "error": None,
        "incomplete_details": {"reason": answer.cut} if answer.cut else None,
        "output": list[JsonValue](items_of(answer, turn)),
    }
    if answer.usage:
        body["usage"] = {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 3},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 18,
        }
    return body


def response_events(answer: Answer, turn: int) -> Iterator[Json]:
    """Write a streamed response."""
    numbers = ("output_index", "content_index", "sequence_number", "item_id")
    for sequence, event in enumerate(_numbered_events(answer, turn)):
        numbered: Json = event | {"sequence_number": sequence}
        if answer.bare:
            numbered = {key: value for key, value in numbered.items() if key not in numbers}
        yield numbered


def _numbered_events(answer: Answer, turn: int) -> Iterator[Json]:
    begun = response_body(replace(answer, text="", calls=(), usage=False), turn)
    yield {"type": "response.created", "response": begun | {"status": "in_progress"}}
    for index, item in enumerate(items_of(answer, turn)):
        place: Json = {"output_index": index, "item_id": item["id"]}
        empty = dict.fromkeys(item.keys() & {"content", "arguments"})
        added: Json = {**item, "status": "in_progress", **empty}
        yield {"type": "response.output_item.added", "output_index": index, "item": added}
        if item["type"] == "message":
            refused = answer.refusal is not None
            kind = "response.refusal.delta" if refused else "response.output_text.delta"
            for piece in pieces(answer.refusal or answer.text):
                yield {"type": kind, **place, "content_index": 0, "delta": piece}
        if item["type"] == "function_call":
            for piece in pieces(str(item["arguments"])):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    if answer.final:
        kind = "response.incomplete" if answer.cut else "response.completed"
        yield {"type": kind, "response": response_body(answer, turn)}


def chat_body(answer: Answer, turn: int) -> Json:
    """Write a whole chat completion."""
    calls: list[JsonValue] = [
        {
            "id": f"call_{turn}_{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments_text},
        }
        for number, call in enumerate(answer.calls)
    ]
    message: Json = {"role": "assistant", "content": answer.text or None, "refusal": answer.refusal}
    if calls:
        message["tool_calls"] = calls
    if answer.reasoning is not None:
        message["reasoning_content"] = answer.reasoning
    reason = answer.cut or ("tool_calls" if calls else "stop")
    choice: Json = {"index": 0, "message": message | answer.fields, "finish_reason": reason}
    body: Json = {"id": f"chat_{turn}", "object": "chat.completion", "choices": [choice]}
    if answer.usage:
        body["usage"] = _chat_usage()
    return body


def chat_events(answer: Answer, turn: int) -> Iterator[Json]:
    """Write a streamed chat completion."""
    yield _chunk({"role": "assistant", "content": "", **answer.fields})
    for piece in pieces(answer.reasoning or ""):
        yield _chunk({"reasoning_content": piece})
    for piece in pieces(answer.text):
        yield _chunk({"content": piece})
    for piece in pieces(answer.refusal or ""):
        yield _chunk({"refusal": piece})
    for number, call in enumerate(answer.calls):
        place: Json = {} if answer.bare else {"index": number}
        function: Json = {"name": call.name, "arguments": ""}
        opened: Json = {"id": f"call_{turn}_{number}", "type": "function", "function": function}
        yield _chunk({"tool_calls": [place | opened]})
        for piece in pieces(call.arguments_text):
            continued: Json = {"function": {"arguments": piece}}
            yield _chunk({"tool_calls": [place | continued]})
    if answer.final:
        reason = answer.cut or ("tool_calls" if answer.calls else "stop")
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        if answer.usage:
            yield {"choices": [], "usage": _chat_usage()}


def _chunk(delta: Json) -> Json:
    choice: Json = {"index": 0, "delta": delta, "finish_reason": None}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def _chat_usage() -> Json:
    return {
        "prompt_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens": 7,
        "completion_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 18,
    }


def pieces(text: str) -> list[str]:
    """Cut `text` as a stream would."""
    return [text[start : start + 5] for start in range(0, len(text), 5)]
