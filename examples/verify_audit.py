"""Verify an export without Kern: `python verify_audit.py FILE`, or what is piped into it."""

import fileinput
import hashlib
import json

ROW, WHO = "version root_run_id seq at previous_hash", "actor issuer subject principal_kind groups"
WHAT = "tenant id requirement_id position run_id kind verdict tool_name digest text_digest"
FIELDS = {"decision": f"{ROW} {WHO} {WHAT}", "seal": f"{ROW} chain_seq chain_hash"}
ALL, ZERO = {"run": None, "tenant": None, "from": None, "to": None}, "0" * 64
chains, seals, unsealed, in_time = {"": {0: ZERO}}, {0: ZERO}, {"": 0}, {"": True}
part, kind, number, head = {"": ""}, "", 0, ZERO


def digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def expect(condition: object, why: str) -> None:
    if not condition:
        raise SystemExit(f"Line {number}: {why}." if number else "The file is empty.")


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    expect(len(dict(pairs)) == len(pairs), "it has a field twice")
    return dict(pairs)


try:
    for number, text in enumerate(fileinput.input(encoding="ascii"), start=1):  # noqa: SIM115
        line = json.loads(text, object_pairs_hook=unique)
        kind, row = line.pop("type"), line.get("content")
        if number == 1:
            part = {name: line[name] for name in ALL if line[name] is not None}
        if kind in {"log", "end"}:
            known = {**ALL, **part, "format": number}, {"lines": number - 1, "head": head}
            expect(line == known[kind == "end"], "lines are missing or new")
            continue
        expect({*row} == {*FIELDS[kind].split()} and row["version"] == 1, "it is unknown")
        run_id, seq, own, texts = row["root_run_id"], row["seq"], digest(row), line.pop("texts", 0)
        expect(line == {"content": row, "hash": own}, "its hash is not that of its content")
        expect(not texts or digest(texts) == row["text_digest"], "its texts were changed")
        expect(part.get("run", run_id) == run_id, "it is of another run")
        chain, before, sealed = chains.setdefault(run_id, {0: ZERO}), row["previous_hash"], 0
        links = chain if kind == "decision" else seals
        expect(seq == len(links) or (part and links is seals), "one before it is missing")
        follows = links.setdefault(seq - 1, before), links.setdefault(seq, own)
        expect(follows == (before, own), "it does not follow from the one before it")
        if kind == "decision":
            expect(part.get("tenant", row["tenant"]) == row["tenant"], "it is of another tenant")
            in_time.setdefault(run_id, False)
            in_time[run_id] |= part.get("from", "") <= row["at"] < part.get("to", "~")
        else:
            head, sealed = own, row["chain_seq"]
            expect(chain[sealed] == row["chain_hash"], "it seals another one")
        unsealed[run_id] = len(chain) - 1 - sealed
    expect(kind == "end", "the file ends with it, so that lines are missing")
    expect(all(in_time.values()), "a run has no decision from then")
    covered = ", ".join(f"{name} {text!r}" for name, text in part.items()) or "the whole log"
    print(f"Intact: {covered} (head {head})\n{sum(unsealed.values())} decisions not sealed")
except (OSError, RecursionError, ValueError, LookupError, TypeError) as error:
    raise SystemExit(f"Line {number}: it cannot be read ({error!r}).") from None
