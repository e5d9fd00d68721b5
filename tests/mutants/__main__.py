"""How many small faults in the codec, the index and the questions no test notices, and which.

    python -m tests.mutants [--every=N] [codec] [index] [questions] [kernel] [core/rune.py ...]

With --every only one fault in N is made: a quick look. The faults in Python are mutmut's, which no
environment of ours has by default: `pip install mutmut==3.8.0`; those in SQL are of `sql.py`. They
are made in a copy of the project, one file after the other. Aim: 95 % killed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from difflib import unified_diff
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from tests.mutants.sql import Constants

ROOT = Path(__file__).parents[2]
AIM_PCT = 95
KINDS = ("code", "SQL", "wording")
Figures = dict[str, tuple[int, int]]
"""Killed and all, by kind. The aim is for code and SQL: tests do not hold every word."""
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
QUESTION_FILES = (
    "anomalies",
    "block_share",
    "burns",
    "cohort",
    "compare_sources",
    "concentration",
    "fragmentation",
    "holders",
    "mint_fairness",
    "mint_status",
    "mint_velocity",
    "name_market",
    "pace",
    "reconcile",
    "similar_names",
    "standing",
    "supply",
    "volume",
    "wasted",
)
EVERY = frozenset(QUESTION_FILES) - {"compare_sources", "pace", "standing"}
"""Those of which `test_every.py` and `test_quiet.py` speak."""
OF_ONE = EVERY - {"block_share", "name_market"}
"""Those that can be asked of one rune."""
CUT = "test_an_answer_of_one_rune_is_that_of_the_whole_tables_however_these_lie"
FILES = {
    "codec": ("core/rune.py", "core/runestone.py"),
    "index": tuple(f"runes/{name}.py" for name in INDEX_FILES),
    "questions": tuple(f"runes/questions/{name}.py" for name in QUESTION_FILES),
    "kernel": tuple(
        f"runes/{name}.py"
        for name in ("answer", "asking", "evidence", "holdings", "recognising", "returns", "saying")
    ),
}
TESTS = {
    "core": ("core/test_rune.py", "core/test_runestone.py", "core/test_vectors.py"),
    "runes": (
        "runes/test_moves.py",
        "runes/test_index.py",
        "runes/test_commitments.py",
        "runes/test_snapshot.py",
        "runes/test_trust.py",
        "runes/test_index_scenarios.py",
        "runes/test_index_chain.py",
    ),
    "runes/answer": ("runes/test_asking.py", "runes/test_drawing.py"),
    "runes/asking": ("runes/test_asking.py", "runes/test_drawing.py", "runes/test_evidence.py"),
    "runes/evidence": ("runes/test_evidence.py",),
    "runes/recognising": ("runes/test_evidence.py",),
    "runes/saying": ("runes/test_asking.py",),
}
_CUTS = re.compile(r"\.of\((wanted|which|only|runes)\b")
ASKED = {
    "runes/holdings": ("holders", "concentration"),
    "runes/returns": ("anomalies",),
    "runes/questions/cohort": ("holders",),
    "runes/questions/pace": ("mint_velocity", "mint_status"),
    "runes/questions/standing": ("mint_status", "supply", "burns"),
}
"""The questions whose tests hold a file that has none of its own."""


def tests_of(name: str) -> tuple[str, ...]:
    """The files of tests, and the tests, that a file is held against."""
    stem = name.removesuffix(".py")
    folder, _, last = stem.rpartition("/")
    if folder != "runes/questions" and stem not in ASKED:
        return TESTS.get(stem, TESTS.get(folder, ()))
    asked = ASKED.get(stem, (last,))
    of_all = f"runes/questions/test_every.py::test_{{}}[{last}]"
    return (
        *(f"runes/questions/test_{one}.py" for one in asked),
        *(of_all.format(test) for test in ("names_itself", "is_drawn") if last in EVERY),
        *(("runes/questions/test_quiet.py",) if last in EVERY else ()),
        *((f"runes/test_slices.py::{CUT}[{last}]",) if last in OF_ONE else ()),
    )


def undecorated(code: str) -> str:
    """A module whose question and properties only hand on to functions without a decorator, for
    mutmut passes over those with one. A question gets every parameter: a default of the function
    that it hands on to would have no effect."""
    code = re.sub(
        r"^    @property\n    def (\w+)(\(self\) -> .*:\n)",
        r"    @property\n    def \1\2        return self._own_\1()\n\n    def _own_\1\2",
        code,
        flags=re.M,
    )
    pattern = r"^@question\(.*?\)\ndef (\w+)(\(.*?\) -> Answer:\n)    \"\"\".*?\"\"\"\n"
    found = re.search(pattern, code, re.S | re.M)
    if not found:
        return code
    signature = re.sub(r" = [^,\n]+(?=,\n)", "", found[2])
    hands_on = f"{found[0]}    return _asked(**locals())\n\n\ndef _asked{signature}"
    return code[: found.start()] + hands_on + code[found.end() :]


def copied(folder: Path) -> None:
    """The project, with the configuration that mutmut asks for."""
    for name in ("workbench", "tests"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "data").symlink_to(ROOT / "data")
    own = '\n[tool.mutmut]\nsource_paths = ["workbench"]\n'
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + own)


def measure(name: str, every: int) -> Figures:
    """Killed and all mutants of one file by kind; prints what each survivor changed."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    path = Path("workbench") / name
    code = path.read_text()
    mutated = mutate_file_contents(str(path), undecorated(code))
    path.write_text(mutated.code)
    sql = Constants(path)
    lines, spans = mutated.code.splitlines(), mutated.line_span_by_function_name
    told = {
        f"{sql.module}.{mutant}": difference(lines, spans, mutant)
        for mutant in mutated.mutant_names
    }
    told |= {mutant: sql.told(mutant) for mutant in sql.mutants}
    mutants = [mutant for mutant in told if not is_guard(told[mutant])][every // 2 :: every]
    try:
        alive, late = survivors(mutants, name)
    finally:
        path.write_text(code)
    for mutant in alive:
        print(f"\n{mutant}\n" + "\n".join(told[mutant]))
    figures = dict.fromkeys(KINDS, (0, 0))
    for mutant in mutants:
        kind = "SQL" if mutant in sql.mutants else "wording" if is_wording(told[mutant]) else "code"
        killed, count = figures[kind]
        figures[kind] = killed + (mutant not in alive), count + 1
    hung = f", {len(late)} of them for they hung: {', '.join(late)}" if late else ""
    print(f"{name}: {said(figures)}{hung}", flush=True)
    return figures


def is_guard(lines: list[str]) -> bool:
    """Whether only `strict=` of a `zip` is another one: what is zipped here is of one length. Or
    which rows `Evidence.of` cuts out beforehand: SQL chooses them again, sooner."""
    if len(lines) == 2 and _CUTS.search(lines[0]):
        return True
    plain = {re.sub(r"(, )?strict=\w+|, (?=\))", "", line[1:]) for line in lines}
    return len(lines) == 2 and len(plain) == 1


def is_wording(lines: list[str]) -> bool:
    """Whether only a text of several words is another one."""
    if len(lines) != 2:
        return False
    before, after = (line[1:] for line in lines)
    if before.lower() != after.lower().replace("xx", ""):
        return False
    pairs = enumerate(zip(before, after, strict=False))
    place = next(place for place, (one, other) in pairs if one != other)
    texts = re.finditer(r'"[^"]*"', before)
    return any(" " in text[0] for text in texts if text.start() <= place <= text.end())


def said(figures: Figures) -> str:
    known = {kind: figure for kind, figure in figures.items() if figure[1]}
    parts = [f"{killed} of {count} ({kind})" for kind, (killed, count) in known.items()]
    return ", ".join(parts) + " mutants killed"


def survivors(mutants: list[str], name: str) -> tuple[list[str], list[str]]:
    """Those that no test notices, and those that hang."""
    told = Path("mutants.json").resolve()
    told.write_bytes(msgspec.json.encode(mutants))
    environment = {**os.environ, "HYPOTHESIS_PROFILE": "mutants", "MUTANTS": str(told)}
    if (ROOT.parent / "shared").is_dir():
        environment.setdefault("WORKBENCH_SHARED", str(ROOT.parent / "shared"))
    tests = [f"tests/{test}" for test in tests_of(name)]
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.mutants.plugin"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    run = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if run.returncode:
        sys.exit(run.stdout)
    return msgspec.json.decode(told.read_bytes(), type=tuple[list[str], list[str]])


def difference(lines: list[str], spans: Any, mutant: str) -> list[str]:
    """The lines in which a mutant differs from its function."""
    origin = mutant.rpartition("_mutmut_")[0] + "_mutmut_orig"
    both = [spans[one] for one in (origin, mutant)]
    before, after = (lines[span.start - 1 : span.end] for span in both)
    changes = list(unified_diff(before, after, n=0, lineterm=""))[3:]
    return [line for line in changes if line[:1] in "+-" and "def " not in line]


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
            figures: Figures = {}
            for measured in [measure(name, asked.every) for name in names]:
                for kind, (killed, count) in measured.items():
                    before = figures.get(kind, (0, 0))
                    figures[kind] = before[0] + killed, before[1] + count
            killed, count = (
                sum(figures[kind][place] for kind in ("code", "SQL")) for place in (0, 1)
            )
            share_pct = 100 * killed / count
            good = good and share_pct >= AIM_PCT
            if group in FILES:
                print(
                    f"{group}: {said(figures)}; without wording {share_pct:.1f} %, aim {AIM_PCT} %"
                )
        os.chdir(ROOT)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
