"""How many small faults in the codec and the index the tests notice, and which they do not.

    python -m tests.mutants [--every=N] [codec] [index] [core/rune.py ...]

With --every only one fault in N is made: a quick look. The faults are mutmut's, which no
environment of ours has by default: `pip install mutmut==3.8.0`. They are made in a copy of the
project, one file after the other. Aim: 95 % killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from difflib import unified_diff
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
AIM_PCT = 95
INDEX_FILES = (
    "commitments",
    "entry",
    "history",
    "index",
    "ledger",
    "moves",
    "seen",
    "snapshot",
)
FILES = {
    "codec": ("core/rune.py", "core/runestone.py"),
    "index": tuple(f"runes/{name}.py" for name in INDEX_FILES),
}
TESTS = {
    "core": ("core/test_rune.py", "core/test_runestone.py", "core/test_vectors.py"),
    "runes": (
        "runes/test_moves.py",
        "runes/test_index.py",
        "runes/test_snapshot.py",
        "runes/test_index_scenarios.py",
        "runes/test_index_chain.py",
    ),
}


def copied(folder: Path) -> None:
    """The project, with the configuration that mutmut asks for."""
    for name in ("workbench", "tests"):
        shutil.copytree(ROOT / name, folder / name)
    own = '\n[tool.mutmut]\nsource_paths = ["workbench"]\n'
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + own)


def measure(name: str, every: int) -> tuple[int, int]:
    """Killed and all mutants of one file; prints what each survivor changed."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    path = Path("workbench") / name
    code = path.read_text()
    mutated = mutate_file_contents(str(path), code)
    module = ".".join(path.with_suffix("").parts)
    path.write_text(mutated.code)
    mutants = [f"{module}.{mutant}" for mutant in mutated.mutant_names][every // 2 :: every]
    try:
        alive = survivors(mutants, name)
    finally:
        path.write_text(code)
    for mutant in alive:
        print(f"\n{mutant}\n" + "\n".join(difference(mutated, mutant.rpartition(".")[2])))
    killed = len(mutants) - len(alive)
    print(f"{name}: {killed} of {len(mutants)} mutants killed", flush=True)
    return killed, len(mutants)


def survivors(mutants: list[str], name: str) -> list[str]:
    """Those that no test notices."""
    told = Path("mutants.json").resolve()
    told.write_bytes(msgspec.json.encode(mutants))
    shared = os.environ.get("WORKBENCH_SHARED", str(ROOT.parent / "shared"))
    environment = {
        **os.environ,
        "HYPOTHESIS_PROFILE": "mutants",
        "WORKBENCH_SHARED": shared,
        "MUTANTS": str(told),
    }
    tests = [f"tests/{test}" for test in TESTS[name.split("/")[0]]]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.mutants.plugin"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    alive: list[str] = msgspec.json.decode(told.read_bytes())
    return alive


def difference(mutated: Any, mutant: str) -> Iterator[str]:
    """The lines in which a mutant differs from its function."""
    lines = mutated.code.splitlines()
    origin = mutant.rpartition("_mutmut_")[0] + "_mutmut_orig"
    spans = [mutated.line_span_by_function_name[one] for one in (origin, mutant)]
    before, after = ([*lines[span.start - 1 : span.end]] for span in spans)
    changes = list(unified_diff(before, after, n=0, lineterm=""))[3:]
    return (line for line in changes if line[:1] in "+-" and "def " not in line)


def main() -> int:
    if find_spec("mutmut") is None:
        print("mutmut is not installed here: pip install mutmut==3.8.0")
        return 2
    parser = ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("what", nargs="*", default=list(FILES))
    parser.add_argument("--every", type=int, default=1)
    asked = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory(prefix="mutants-") as made:
        copied(Path(made))
        os.chdir(made)
        for group in asked.what:
            names = FILES.get(group, (group,))
            figures = [measure(name, asked.every) for name in names]
            killed, count = (sum(figure) for figure in zip(*figures, strict=True))
            share_pct = 100 * killed / count
            good = good and share_pct >= AIM_PCT
            print(
                f"{group}: {killed} of {count} mutants killed, {share_pct:.1f} %; aim {AIM_PCT} %"
            )
        os.chdir(ROOT)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
