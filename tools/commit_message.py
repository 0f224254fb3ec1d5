"""Refuses a commit message that breaks the rules of CONTRIBUTING.md; pre-commit runs it as the commit-msg hook.

`python tools/commit_message.py FILE` prints what is wrong with the message in FILE and exits with 1. How many lines the
commit changes is read from the index.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

LONGEST_SUBJECT = 72
MOST_LINES_WITHOUT_BODY = 100

PART = re.compile(r"[a-z][\w ,./-]*: \S")
TRAILER = re.compile(r"[A-Z][\w-]*: \S")
SCISSORS = re.compile(r"# -+ >8 -+")
# Git writes these subjects itself, and a fixup disappears in its commit.
BY_GIT = ("Merge ", "Revert ", "Reapply ", "fixup! ", "squash! ", "amend! ")


def problems(message: str, changed_lines: int) -> list[str]:
    """Return what is wrong with a commit message, one sentence each.

    Args:
        message: The message as git hands it to the hook, with git's comments.
        changed_lines: How many lines the commit adds and deletes.
    """
    subject, *rest = written(message) or [""]
    if subject.startswith(BY_GIT):
        return []
    found = []
    if len(subject) > LONGEST_SUBJECT:
        found.append(f"The subject has {len(subject)} characters, {LONGEST_SUBJECT} are allowed.")
    if not PART.match(subject):
        found.append('The subject names no part: write "breaker: ...", "fleet: ...", "docs: ..." in lower case.')
    if subject.endswith("."):
        found.append("The subject ends with a full stop.")
    if rest and rest[0]:
        found.append("The line after the subject is not blank.")
    body = [line for line in rest if line and not TRAILER.match(line)]
    if changed_lines > MOST_LINES_WITHOUT_BODY and not body:
        found.append(f"The commit changes {changed_lines} lines: say why in a body.")
    return found


def written(message: str) -> list[str]:
    """Return the lines of a message that git keeps: no comments, nothing below the scissors, no blank lines around."""
    lines: list[str] = []
    for line in message.splitlines():
        if SCISSORS.match(line):
            break
        if not line.startswith("#"):
            lines.append(line.rstrip())
    return "\n".join(lines).strip("\n").splitlines()


def changed_lines() -> int:
    """Count the lines that the index adds and deletes; a renamed file counts with what else changed in it."""
    command = ["git", "diff", "--cached", "--numstat", "--find-renames"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    counts = [field for line in listing.splitlines() for field in line.split("\t")[:2]]
    return sum(int(count) for count in counts if count != "-")  # of a binary file git counts nothing


def main(path: str) -> int:
    """Check the message in a file.

    Args:
        path: The file, as git passes it to the hook.
    """
    found = problems(Path(path).read_text(encoding="utf-8"), changed_lines())
    if found:
        print(*found, f"Your message is kept: git commit --edit --file={path}", sep="\n", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
