"""Verify an export without Kern: `python verify_audit.py FILE`, or what is piped into it."""

import fileinput
import hashlib
import json

ROW, WHO = "version root_run_id seq at previous_hash", "actor issuer subject principal_kind groups"
WHAT = "tenant id requirement_id position run_id kind verdict tool_name digest text_digest"
FIELDS = {"decision": f"{ROW} {WHO} {WHAT}", "seal": f"{ROW} chain_seq chain_hash"}
chains, seals, unsealed, run, kind, number = {"": [""]}, ["0" * 64], {"": 0}, None, "", 0


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
        kind, row, run = line.pop("type"), line.get("content"), line.get("run", run)
        if kind in {"log", "end"}:
            known = {"format": number, "run": run}, {"lines": number - 1, "head": seals[-1]}
            expect(line == known[kind == "end"], "lines are missing or new")
            continue
        expect({*row} == {*FIELDS[kind].split()} and row["version"] == 1 < number, "it is unknown")
        run_id, at, texts = row["root_run_id"], row.get("chain_seq", 0), line.pop("texts", None)
        chain = seals if (is_seal := kind == "seal") else chains.setdefault(run_id, ["0" * 64])
        follows = (row["seq"], row["previous_hash"]) == (len(chain), chain[-1]) or (is_seal and run)
        expect(follows and run in {None, run_id}, "it does not follow from the one before it")
        expect(line == {"content": row, "hash": digest(row)}, "its hash is not that of its content")
        expect(not texts or digest(texts) == row["text_digest"], "its texts were changed")
        expect(not is_seal or chains[run_id][at] == row["chain_hash"], "it seals another one")
        chain.append(line["hash"])
        unsealed[run_id] = len(chains[run_id]) - 1 - at
    expect(kind == "end", "the file ends with it, so that lines are missing")
    print("Intact:", f"run {run}" if run else "the whole log", f"(head {seals[-1]})")
    print(sum(unsealed.values()), "decisions not sealed")
except (OSError, RecursionError, ValueError, LookupError, TypeError) as error:
    raise SystemExit(f"Line {number}: it cannot be read ({error!r}).") from None
