"""What the documentation shows runs, and what it points to is there."""

import gc
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

import recloser
import recloser.errors

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
EXAMPLES_OF = {page: list(Sybil(parsers=[PythonCodeBlockParser()]).parse(page).examples()) for page in PAGES}
EXAMPLES = [
    pytest.param(page, number, id=f"{page.relative_to(ROOT)}-{example.line}")
    for page, examples in EXAMPLES_OF.items()
    for number, example in enumerate(examples)
]
HAVE_RUN: Counter[Path] = Counter()


@pytest.mark.parametrize(("page", "number"), EXAMPLES)
def test_an_example_of_the_documentation_runs(
    page: Path,
    number: int,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = page.read_text(encoding="utf-8")
    if "gc.freeze()" in text:
        request.addfinalizer(gc.unfreeze)
    if "DATABASE_URL" in text:
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("postgres").dsn())
    if "REDIS_URL" in text:
        monkeypatch.setenv("REDIS_URL", request.getfixturevalue("redis_server").url)
    for example in EXAMPLES_OF[page][HAVE_RUN[page] : number + 1]:  # also those above it that ran nowhere or elsewhere
        HAVE_RUN[page] += 1
        example.namespace.setdefault("__name__", "__main__")  # some frameworks look at the module of a function
        example.evaluate()
    assert "Traceback" not in capsys.readouterr().out


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in ROOT.glob("docs/reference/*.md"))
    documented = set(re.findall(r"auto(?:class|function|exception):: recloser\.(\w+)", pages))
    in_modules = {name for name in recloser.__all__ if getattr(recloser, name) in vars(recloser.errors).values()}
    assert set(recloser.__all__) - documented <= in_modules


def test_the_readme_has_examples() -> None:
    assert sum(param.id.startswith("README.md") for param in EXAMPLES) >= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_exists(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("script", ["docs/api.py", "docs/diagram.py", "docs/links.py", "docs/monitoring.py"])
def test_what_is_generated_from_the_code_is_up_to_date(script: str) -> None:
    check = subprocess.run([sys.executable, script, "--check"], cwd=ROOT, check=False, capture_output=True)
    assert check.returncode == 0, check.stdout.decode()
