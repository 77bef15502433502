#!/bin/sh
# Every check a change has to pass, quickest first: format, lint, types, floors, tests. Needs `./setup.sh test`.
# Arguments go to pytest; its exit status is this script's.
set -eu
cd "$(dirname "$0")"
PATH="$PWD/.venv/bin:$PATH"

step() { printf '\n==> %s\n' "$*"; }

step "format"
ruff format --check .
step "lint"
ruff check .
step "types"
pyright
step "floors"
lint-imports
step "tests"
exec python -m pytest --numprocesses auto --dist worksteal "$@" # a process a core
