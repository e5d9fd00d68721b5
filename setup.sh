#!/bin/sh
# Makes the environment: setup.sh DIR. Uses uv where it is on the path, else venv and pip.
set -eu
venv=$1

fits='import sys; raise SystemExit(not (3, 11) <= sys.version_info < (3, 14))'
python=
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python; do
  if "$candidate" -c "$fits" >/dev/null 2>&1; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
  echo "no Python 3.11, 3.12 or 3.13 found: install one, or name it with PYTHON=/path/to/python make setup" >&2
  exit 1
fi

# The interpreter's own path, so that a version manager's choice of today does not matter tomorrow.
python=$("$python" -c 'import sys; print(sys.executable)')
echo "setting up $venv with $("$python" --version): one to three minutes and 1.5 GB, the first time only"
rm -rf "$venv"
if command -v uv >/dev/null 2>&1; then
  uv venv --quiet --seed --python "$python" "$venv"
  uv pip install --quiet --python "$venv/bin/python" --require-hashes -r requirements.lock
  uv pip install --quiet --python "$venv/bin/python" --no-deps --no-build-isolation -e .
else
  "$python" -m venv "$venv" || {
    echo "this Python cannot make environments: install its venv package (Debian: apt install python3-venv)" >&2
    exit 1
  }
  # pip compiles one file after the other; left out, so that every core does a part of it.
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --require-hashes -r requirements.lock
  "$venv/bin/python" -m compileall -qq -j 0 "$venv/lib" || true  # some ship files for other Pythons
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
