"""Verify an export without Kern: `kern audit export | python verify_audit.py`."""

import hashlib
import json
import sys
from typing import Any

GENESIS = "0" * 64
hashes: dict[tuple[str, int], str] = {}  # By chain (the run, or "": seals) and number; 0: the last
run, kind, number, head = None, "", 0, GENESIS


def digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def expect(condition: object, why: str) -> None:
    if not condition:
        sys.exit(f"Line {number}: {why}.")


def check(line: dict[str, Any], content: dict[str, Any], *, is_seal: bool) -> None:
    run_id, chain = content["root_run_id"], "" if is_seal else content["root_run_id"]
    expect(digest(content) == line["hash"], "its hash is not that of its content")
    # Of one run, only its own seals are exported, without those between them.
    follows = content["previous_hash"] == hashes.get((chain, 0), GENESIS) or (is_seal and run)
    expect(follows and run in {None, run_id}, "it does not follow from the one before it")
    sealed = hashes.get((run_id, content["chain_seq"])) if is_seal else None
    expect(sealed == content.get("chain_hash"), "what it seals is missing or was rewritten")
    texts = line.get("texts")
    expect(not texts or digest(texts) == content["text_digest"], "its texts were changed")
    hashes[chain, content["seq"]] = hashes[chain, 0] = line["hash"]


try:
    for number, text in enumerate(sys.stdin, start=1):
        line = json.loads(text)
        kind, head = line["type"], hashes.get(("", 0), GENESIS)
        if number == 1:
            expect((kind, line["format"]) == ("log", 1), "it begins no export of format 1")
            run = line["run"]
        elif kind == "end":
            expect((line["lines"], line["head"]) == (number - 1, head), "lines are missing or new")
        else:
            check(line, line["content"], is_seal=kind == "seal")
    expect(kind == "end", "the file ends with it, so that lines are missing")
    print("Intact:", f"run {run}" if run else "the whole log", f"(head {head})")
except (ValueError, LookupError, TypeError) as error:
    sys.exit(f"Line {number}: it cannot be read ({error!r}).")
