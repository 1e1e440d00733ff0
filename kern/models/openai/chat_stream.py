"""Puts a streamed Chat Completions answer together, with fields that only some servers send."""

from pydantic import JsonValue

from kern.models.base import Delta
from kern.models.openai.payload import mapping, objects, text
from kern.values.canonical import clean_text

Json = dict[str, JsonValue]


class ChatAssembler:
    """Passes text on as it comes and merges the pieces into one message."""

    def __init__(self, on_delta: Delta) -> None:
        self._on_delta = on_delta
        self._message: Json = {}
        self._calls: list[Json] = []
        self._numbers: list[JsonValue] = []
        self._finish_reason: JsonValue = None
        self._usage: JsonValue = None

    def take(self, event: Json) -> None:
        """Add one chunk."""
        self._usage = event.get("usage") or self._usage
        for choice in objects(event.get("choices"))[:1]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            self._merge(mapping(choice.get("delta")) or mapping(choice.get("message")))

    def result(self) -> Json | None:
        """Return the answer; None if what comes last, finish reason or usage, did not."""
        if self._finish_reason is None and self._usage is None:
            return None
        message = dict(self._message)
        if self._calls:
            message["tool_calls"] = list[JsonValue](self._calls)
        choice: Json = {"message": message, "finish_reason": self._finish_reason}
        return {"choices": [choice], "usage": self._usage}

    def _merge(self, delta: Json) -> None:
        for key, value in delta.items():
            match value:
                case list() if key == "tool_calls":
                    for piece in objects(value):
                        self._merge_call(piece)
                case str() if key == "role":
                    self._message[key] = value
                case str():
                    self._message[key] = text(self._message.get(key)) + value
                    if key in {"content", "refusal"} and value:
                        self._on_delta(clean_text(value))
                case list():
                    before = self._message.get(key)
                    self._message[key] = [*before, *value] if isinstance(before, list) else value
                case None:
                    pass
                case _:
                    self._message[key] = value

    def _merge_call(self, piece: Json) -> None:
        call = self._find_call(piece)
        function = mapping(piece.get("function"))
        before = mapping(call.get("function"))
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            arguments = text(before.get("arguments")) + arguments
        merged = before | {key: value for key, value in function.items() if value}
        call |= {key: value for key, value in piece.items() if value and key != "index"}
        call["function"] = merged | {"arguments": arguments or before.get("arguments")}

    def _find_call(self, piece: Json) -> Json:
        """Find the call that `piece` continues: by its number, else the last one.

        A piece with a name and an id of its own begins another call, also where a server numbers
        all of them 0.
        """
        number, call_id = piece.get("index"), text(piece.get("id"))
        starts_call = bool(call_id and mapping(piece.get("function")).get("name"))
        for call_number, call in zip(reversed(self._numbers), reversed(self._calls), strict=True):
            if number is not None and call_number != number:
                continue
            if starts_call and text(call.get("id")) not in {"", call_id}:
                continue
            if starts_call and number is None and call.get("id") != call_id:
                continue
            return call
        self._calls.append({})
        self._numbers.append(number)
        return self._calls[-1]
