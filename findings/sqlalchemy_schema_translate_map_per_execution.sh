#!/usr/bin/env bash
# One would guess: SQLAlchemy caches a compiled statement, so a `schema_translate_map` is worked out
# when the statement is compiled, and a cached statement costs the same with it as without it.
#
# What happens: the compiled text keeps a placeholder before every table name, and before every
# column that is named with its table. Each execution replaces all of them in the text, although
# nothing is compiled again. The work grows with the columns of the statement: a select of 40
# columns has 41 placeholders, which are replaced 41 times in each execution.
#
# What to do instead, where an engine has one schema: answer `schema_for_object` of the dialect's
# identifier preparer, which is asked when a statement is compiled.
#
# Version: SQLAlchemy 2.1.9. Source: `IdentifierPreparer._render_schema_translates` in
# sqlalchemy/sql/compiler.py, called by `DefaultExecutionContext` in sqlalchemy/engine/default.py.
# Date: 2026-11-29.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sqlalchemy==2.1.9
cat > "$folder/finding.py" <<'PYTHON'
import re

from sqlalchemy import Column, Integer, MetaData, Table, create_engine, event, select
from sqlalchemy.sql import compiler

compiled = replaced = 0
real_sub = re.sub


class CountingRe:
    def __getattr__(self, name):
        return getattr(re, name)

    def sub(self, pattern, replacement, text, *rest):
        def counting(match):
            global replaced
            if "SCHEMA" in match.group(0):
                replaced += 1
            return replacement(match) if callable(replacement) else match.expand(replacement)

        return real_sub(pattern, counting, text, *rest)


compiler.re = CountingRe()
real_init = compiler.SQLCompiler.__init__


def counting_init(self, *arguments, **options):
    global compiled
    compiled += 1
    real_init(self, *arguments, **options)


compiler.SQLCompiler.__init__ = counting_init

table = Table("wide", MetaData(), *(Column(f"c{n}", Integer) for n in range(40)))


def count(engine):
    global compiled, replaced
    with engine.connect() as connection:
        connection.execute(select(table)).all()
        compiled = replaced = 0
        for _ in range(10):
            connection.execute(select(table)).all()
    return f"10 executions: {compiled} compilations, {replaced} replacements"


def opened(**options):
    engine = create_engine("sqlite://", **options)

    @event.listens_for(engine, "connect")
    def attach(connection, _record):
        connection.execute("ATTACH ':memory:' AS own")
        columns = ", ".join(f"c{n} INTEGER" for n in range(40))
        connection.execute(f"CREATE TABLE own.wide ({columns})")

    return engine


mapped = opened(execution_options={"schema_translate_map": {None: "own"}})
print("schema_translate_map:", count(mapped))
fixed = opened()
fixed.dialect.identifier_preparer.schema_for_object = (
    lambda item: "own" if isinstance(item, Table) else item.schema
)
print("schema_for_object:   ", count(fixed))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/finding.py")
echo "$seen"
diff <(echo "$seen") - <<'OUTPUT'
schema_translate_map: 10 executions: 0 compilations, 410 replacements
schema_for_object:    10 executions: 0 compilations, 0 replacements
OUTPUT
