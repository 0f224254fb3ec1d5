"""One word per thing: what the glossary replaces is in no identifier and no text, and no two classes share a name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "recloser"
MODULES = sorted(SOURCE.rglob("*.py"))
SCRIPTS = [path for kind in ("js", "lua") for path in sorted(SOURCE.rglob(f"*.{kind}")) if "vendor" not in path.parts]
GLOSSARY = ROOT / "docs" / "glossary.md"

NO_CODE = {
    ".js": re.compile(r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|'[^'\n]*'|`[^`]*`", re.DOTALL),
    ".lua": re.compile(r"--[^\n]*|\"[^\"\n]*\"|'[^'\n]*'"),
}
WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

# What no identifier holds, as words in a row: `last words` is found in LastWords and in _last_words. Where the word has
# another meaning elsewhere, the packages or modules are named in which it is replaced.
REPLACED = {
    "account": "_registry",
    "bell": "",
    "client": "fleet",
    "errand": "",
    "farewell": "",
    "gatekeeper": "",
    "hearsay": "",
    "judge": "",
    "keyring": "",
    "knock": "",
    "last words": "_registry",
    "link": "_breaker _core fleet",
    "mark": "_breaker _core fleet",
    "member": "_breaker _core",
    "office": "",
    "open time": "",
    "petition": "",
    "place": "_registry/eviction.py",
    "plain": "_breaker _core fleet",
    "relay": "",
    "shelf": "",
    "told": "",
    "trial": "",
    "verdict": "",
    "way": "",
}
# What is no identifier by itself, with or without underscores in front.
REPLACED_ALONE = {
    "ask": "_breaker _core fleet",
    "drive": "fleet",
    "enter": "_breaker _core",
    "learn": "fleet",
    "meet": "fleet",
    "ring": "_breaker",
    "touch": "fleet",
}
# The same, however it is inflected: judge, judges, judged, judging; way, ways.
ENDINGS = ("", "s", "d", "ed", "es", "ing")

TEXTS = [
    path
    for pattern in (
        "*.md",
        "benchmarks/*.md",
        "changelog.d/*.md",
        "docs/**/*.md",
        "docs/telemetry/*",
        "demos/**/*.md",
        "demos/**/*.py",
        "examples/**/*.md",
        "examples/**/*.py",
        "src/recloser/**/*.css",
        "src/recloser/**/*.html",
        "src/recloser/**/*.js",
        "src/recloser/**/*.lua",
        "src/recloser/**/*.py",
    )
    for path in sorted(ROOT.glob(pattern))
    if "vendor" not in path.parts
]
REPLACED_IN_TEXTS = re.compile(
    r"\btrials?\b|\bopen times?\b|\bneutral(ly)?\b|\bcount(s|ed|ing)? (as|for) nothing\b|\b(in|out of|within) reach\b",
    re.IGNORECASE,
)
CONTINUATION = re.compile(r"\s*\n\s*(?:#|//|--|\*)?\s*")

# Names that the outside world has given another meaning.
TAKEN = {"Meter"}  # of OpenTelemetry
# Where a name stands for one class per library: the modules of httpx and httpx2, and the pools of two drivers.
TWINS = ({"integrations/httpx.py", "integrations/httpx2.py"}, {"integrations/asyncpg.py", "integrations/psycopg.py"})


def replaced_words(identifier: str, module: str) -> list[str]:
    """Returns the words in an identifier that the glossary replaces in this module."""
    words = [word.lower() for word in WORD.findall(identifier)]
    found = [word for word, places in REPLACED.items() if holds(words, word.split()) and is_in(module, places)]
    name = identifier.lstrip("_")
    return found + [word for word, places in REPLACED_ALONE.items() if word == name and is_in(module, places)]


def holds(words: list[str], replaced: list[str]) -> bool:
    """Tells whether an identifier holds words in a row, the last of them inflected or not."""
    *before, last = replaced
    inflected = {last + ending for ending in ENDINGS} | {last.removesuffix("e") + "ing"}
    return any(
        words[start : start + len(before)] == before and words[start + len(before)] in inflected
        for start in range(len(words) - len(before))
    )


def is_in(module: str, places: str) -> bool:
    return not places or module in places.split() or module.partition("/")[0] in places.split()


def identifiers(path: Path) -> set[str]:
    """Returns the names in a file of code: the words outside comments and literals."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return {path.stem, *names_in(source)}
    return {path.stem, *re.findall(r"[A-Za-z_]\w*", NO_CODE[path.suffix].sub(" ", source))}


def names_in(source: str) -> Iterator[str]:
    """Returns the names in a module: whatever its syntax tree holds as text, and is no literal."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Constant):
            for _, value in ast.iter_fields(node):
                texts = value if isinstance(value, list) else [value]
                yield from (part for text in texts if isinstance(text, str) for part in text.split("."))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_identifier_has_a_word_that_the_glossary_replaces() -> None:
    found = [
        f"{relative(path)}: {name} ({', '.join(words)})"
        for path in (*MODULES, *SCRIPTS)
        for name in sorted(identifiers(path))
        if (words := replaced_words(name, path.relative_to(SOURCE).as_posix()))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("identifier", "module"),
    [
        ("_knock", "_breaker/engine.py"),
        ("PETITION", "_breaker/engine.py"),
        ("LastWords", "_registry/totals.py"),
        ("judged_at", "policies/retry.py"),
        ("_judging", "policies/retry.py"),
        ("told", "cli/app.py"),
        ("_ways", "fleet/_store/wire.py"),
        ("_enter", "_breaker/engine.py"),
        ("drive", "fleet/_worker.py"),
        ("_pass_open_time", "testing/_outage.py"),
    ],
)
def test_a_replaced_word_would_be_noticed(identifier: str, module: str) -> None:
    assert replaced_words(identifier, module) != []


@pytest.mark.parametrize(
    ("identifier", "module"),
    [
        ("always", "_core/windows.py"),
        ("membership", "_breaker/engine.py"),
        ("links", "_fallback/chain.py"),
        ("marker", "_core/windows.py"),
        ("CountRing", "_core/windows.py"),
        ("enter_probe", "_breaker/probe_context.py"),
        ("place", "_registry/origin.py"),
        ("client", "integrations/httpx.py"),
    ],
)
def test_what_only_looks_like_a_replaced_word_passes(identifier: str, module: str) -> None:
    assert replaced_words(identifier, module) == []


def test_no_text_has_a_phrase_that_the_glossary_replaces() -> None:
    found = [f"{relative(path)}: {phrase}" for path in TEXTS for phrase in phrases(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def phrases(text: str) -> Iterator[str]:
    """Returns the replaced phrases in a text, also those that a line break parts."""
    for match in REPLACED_IN_TEXTS.finditer(CONTINUATION.sub(" ", text)):
        yield match[0]


@pytest.mark.parametrize(
    "text",
    ["a trial call", "its open\n    # time is over", "Neutral", "counts for\nnothing", "the store is out of reach"],
)
def test_a_replaced_phrase_would_be_noticed(text: str) -> None:
    assert list(phrases(text)) != []


def test_no_two_classes_share_a_name() -> None:
    homes: defaultdict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(path.relative_to(SOURCE).as_posix())
    shared = {name: paths for name, paths in homes.items() if len(paths) > 1 and paths not in TWINS}
    assert not shared, "\n".join(f"{name}: {', '.join(sorted(paths))}" for name, paths in shared.items())
    assert not TAKEN & homes.keys()


def test_what_the_glossary_names_is_there() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in MODULES)
    known = set(re.findall(r"\w+", sources))
    named = {
        name for code in re.findall(r"`([^`]+)`", GLOSSARY.read_text(encoding="utf-8")) for name in code_names(code)
    }
    assert named - known == set()


def code_names(code: str) -> list[str]:
    """Returns the names in a piece of code; Prometheus adds `_total` to those of counters."""
    names = re.findall(r"[A-Za-z_]\w+", code)
    return [name.removesuffix("_total") if name.startswith("circuit_breaker_") else name for name in names]
