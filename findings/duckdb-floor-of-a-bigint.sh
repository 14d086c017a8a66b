#!/bin/sh
# Guess: floor, ceil and round leave a whole number as it is, whatever its size, and of the same type.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check duckdb==2.0.0
"$folder/venv/bin/python" - <<'PY'
import sys

import duckdb

connection = duckdb.connect()
print("duckdb", duckdb.__version__)
number = 2**53 + 1
seen = {}
for function in ("round", "floor", "ceil"):
    sql = f"SELECT {function}(?::BIGINT), typeof({function}(?::BIGINT)), {function}(?::BIGINT) = ?::BIGINT"
    value, kind, equal = connection.execute(sql, [number] * 4).fetchone()
    seen[function] = (int(value) == number, kind, equal)
    print(f"  {function}({number}) is {value!r}, a {kind}; equal to it in SQL: {equal}")
matching = connection.execute("SELECT count(*) FROM (VALUES (?::BIGINT)) t(n) WHERE floor(n) < n", [number]).fetchone()[0]
print(f"  rows WHERE floor(n) < n, of a whole n: {matching}")
if seen["round"][:2] != (True, "BIGINT") or seen["floor"][:2] != (False, "DOUBLE") or seen["ceil"][:2] != (False, "DOUBLE"):
    sys.exit("this has changed")
print("seen: round keeps the type; floor and ceil make a double of a BIGINT, and lose its last digits")
PY
