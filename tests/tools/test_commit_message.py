"""The commit-msg hook: the rules one by one, and the hook in a repository."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.commit_message import BY_GIT, problems, written

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "commit_message.py"
HOOK = f'#!/bin/sh\nexec "{sys.executable}" "{SCRIPT}" "$1"\n'


@pytest.mark.parametrize(
    "message",
    [
        "breaker: settle a permit once",
        "how-to/fleet: name the units",
        "telemetry, fleet: count in seconds",
        "fleet: " + "x" * 65,
        "core: drop a setting\n\nNobody used it.\n",
        "core: drop a setting\n\nCo-authored-by: Ada <ada@example.org>\n",
    ],
)
def test_a_message_that_keeps_the_rules_passes(message: str) -> None:
    assert problems(message, changed_lines=100) == []


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("fleet: " + "x" * 66, "The subject has 73 characters"),
        ("Settle a permit once", "names no part"),
        ("Breaker: settle a permit once", "names no part"),
        ("breaker:settle a permit once", "names no part"),
        ("breaker: ", "names no part"),
        ("", "names no part"),
        ("breaker: settle a permit once.", "full stop"),
        ("breaker: settle a permit\nonce", "is not blank"),
    ],
)
def test_a_message_that_breaks_a_rule_is_refused(message: str, problem: str) -> None:
    (found,) = problems(message, changed_lines=1)
    assert problem in found


def test_a_large_commit_needs_a_body() -> None:
    (found,) = problems("core: move the meters", changed_lines=101)
    assert "changes 101 lines" in found
    assert problems("core: move the meters\n\nThe rules stay pure.", changed_lines=101) == []


def test_trailers_are_no_body() -> None:
    assert problems("core: move the meters\n\nReviewed-by: Ada <ada@example.org>", changed_lines=101) != []


@pytest.mark.parametrize("beginning", BY_GIT)
def test_a_message_that_git_writes_passes(beginning: str) -> None:
    assert problems(beginning + "x" * 80, changed_lines=1000) == []


def test_comments_and_what_is_below_the_scissors_do_not_count() -> None:
    message = "\n# a comment\ncore: x\n# another\n\nwhy  \n\n# ---- >8 ----\ndiff --git\n"
    assert written(message) == ["core: x", "", "why"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    hook = tmp_path / ".git" / "hooks" / "commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    return tmp_path


def git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("git")
    if program is None:
        pytest.skip("git is not installed")
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
    command = [program, *identity, *arguments]
    return subprocess.run(command, cwd=directory, env=env, check=False, capture_output=True, text=True)


def commit(repository: Path, lines: int, *message: str) -> subprocess.CompletedProcess[str]:
    (repository / "file").write_text("line\n" * lines, encoding="utf-8")
    (repository / "picture").write_bytes(bytes(range(256)))
    git(repository, "add", "file", "picture")
    return git(repository, "commit", "--quiet", *(part for text in message for part in ("-m", text)))


def test_the_hook_lets_a_good_commit_through(repository: Path) -> None:
    done = commit(repository, 101, "core: begin", "There has to be something.")
    assert done.returncode == 0, done.stderr


def test_the_hook_stops_a_large_commit_without_a_body(repository: Path) -> None:
    done = commit(repository, 101, "core: begin")
    assert done.returncode != 0
    assert "changes 101 lines" in done.stderr
    assert "git commit --edit --file=.git/COMMIT_EDITMSG" in done.stderr


def test_a_renamed_file_counts_with_what_else_changed_in_it(repository: Path) -> None:
    commit(repository, 200, "core: begin", "There has to be something.")
    git(repository, "mv", "file", "renamed")
    done = git(repository, "commit", "--quiet", "-m", "core: rename a file")
    assert done.returncode == 0, done.stderr


def test_pre_commit_installs_a_hook_for_each_stage_that_it_uses() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {stage for hook in hooks for stage in hook["stages"]} == set(config["default_install_hook_types"])
    assert [hook["id"] for hook in hooks if hook["stages"] == ["commit-msg"]] == ["commit-message"]
