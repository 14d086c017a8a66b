#!/bin/sh
# Prints the path of a Python 3.13, or says on stderr what is missing and fails.
# A `python3.13` on the PATH may be a pyenv shim that does not run, so every candidate is tried.
set -u

is_python_3_13() {
    [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.13 ]
}

real_path() {
    "$1" -c 'import sys; print(getattr(sys, "_base_executable", sys.executable))'
}

if [ -n "${PYTHON:-}" ]; then
    if is_python_3_13 "$PYTHON"; then
        real_path "$PYTHON"
        exit 0
    fi
    echo "error: PYTHON=$PYTHON is not a Python 3.13 that runs. Name one, or leave PYTHON unset." >&2
    exit 1
fi

set -- python3.13
for versions in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv"; do
    [ -n "$versions" ] || continue
    for candidate in "$versions"/versions/3.13*/bin/python3.13; do
        [ -x "$candidate" ] && set -- "$@" "$candidate"
    done
done
set -- "$@" /usr/local/bin/python3.13 /opt/homebrew/bin/python3.13 /usr/bin/python3.13 python3 python

for candidate in "$@"; do
    if is_python_3_13 "$candidate"; then
        real_path "$candidate"
        exit 0
    fi
done

cat >&2 <<'END'
error: no Python 3.13 was found (python3.13 on the PATH, pyenv versions, /usr/local/bin).
Install one, for example with `pyenv install 3.13`, or name it: make PYTHON=/path/to/python3.13 ...
END
exit 1
