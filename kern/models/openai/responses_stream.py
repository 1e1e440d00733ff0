"""Puts a streamed Responses answer together, also from servers that number nothing."""

from dataclasses import dataclass, field

from pydantic import JsonValue

from kern.models.base import Delta
from kern.models.openai.payload import mapping, text
from kern.values.canonical import clean_text

Json = dict[str, JsonValue]

_FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


@dataclass
class _Slot:
    item: Json
    index: JsonValue = None
    done: bool = False
    pieces: list[str] = field(default_factory=list)

    def finished_item(self) -> Json:
        """The item as announced, completed with the pieces that came after."""
        item = dict(self.item)
        whole = "".join(self.pieces)
        if item.get("type") == "function_call":
            item["arguments"] = text(item.get("arguments")) or whole
        elif item.get("type") == "message" and not item.get("content"):
            item["content"] = [{"type": "output_text", "text": whole, "annotations": []}]
        return item


class ResponseAssembler:
    """Passes text on as it comes and keeps what is needed if the closing event never does."""

    def __init__(self, on_delta: Delta) -> None:
        self._on_delta = on_delta
        self._slots: list[_Slot] = []
        self._final: Json | None = None

    def take(self, event: Json) -> None:
        """Add one event; unknown ones are skipped."""
        match text(event.get("type")):
            case kind if kind in _FINAL:
                self._final = mapping(event.get("response"))
                if kind == "response.failed":
                    self._final = self._final | {"status": "failed"}
            case "error":
                self._final = {"status": "failed", "error": event.get("error") or event}
            case "response.output_item.added":
                self._slots.append(_Slot(mapping(event.get("item")), event.get("output_index")))
            case "response.output_item.done":
                self._finish(event)
            case kind:
                self._extend(kind, event)

    def result(self) -> Json | None:
        """Return the answer; without a closing event, the items if all of them were finished."""
        items: list[JsonValue] = [slot.finished_item() for slot in self._slots]
        if self._final is not None:
            # Some servers close with a response that repeats nothing.
            return self._final if self._final.get("output") else {**self._final, "output": items}
        if items and all(slot.done for slot in self._slots):
            return {"status": "completed", "output": items}
        return None

    def _extend(self, kind: str, event: Json) -> None:
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                piece = text(event.get("delta"))
                self._slot(event, "message").pieces.append(piece)
                if piece:
                    self._on_delta(clean_text(piece))
            case "response.function_call_arguments.delta":
                self._slot(event, "function_call").pieces.append(text(event.get("delta")))
            case "response.output_text.done":
                self._slot(event, "message").done = True
            case "response.function_call_arguments.done":
                slot = self._slot(event, "function_call")
                slot.pieces = [text(event.get("arguments")) or "".join(slot.pieces)]
                slot.done = True
            case _:
                pass

    def _finish(self, event: Json) -> None:
        item = mapping(event.get("item"))
        slot = self._find(event, text(item.get("id")), text(item.get("type")))
        if slot is None:
            slot = _Slot(item)
            self._slots.append(slot)
        slot.item, slot.done = item, True

    def _slot(self, event: Json, kind: str) -> _Slot:
        slot = self._find(event, text(event.get("item_id")), kind)
        if slot is None:
            slot = _Slot(
                {"type": kind, "role": "assistant"} if kind == "message" else {"type": kind}
            )
            self._slots.append(slot)
        return slot

    def _find(self, event: Json, item_id: str, kind: str) -> _Slot | None:
        """Find by id, else by number, else the last of its kind that is not finished."""
        for slot in self._slots:
            if item_id and slot.item.get("id") == item_id:
                return slot
        index = event.get("output_index")
        for slot in self._slots:
            if index is not None and slot.index == index:
                return slot
        unfinished = [s for s in self._slots if not s.done and s.item.get("type") == kind]
        return unfinished[-1] if unfinished else None
