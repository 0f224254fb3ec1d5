"""What `dev.py` starts, and what it installs before that."""

import os
from pathlib import Path

import pytest

import dev


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The programs that were started, each with its arguments; the current directory is not the clone's."""
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[str, ...]] = []

    def run(*command: str) -> int:
        calls.append(command)
        return 0

    monkeypatch.setattr(dev, "run", run)
    return calls


@pytest.mark.parametrize(
    ("arguments", "needs", "started"),
    [
        (["demo"], ["demo"], "recloser demo"),
        (["demo", "--fast", "--seed", "2"], ["demo"], "recloser demo --fast --seed 2"),
        (["demo", "--mcp", "--plain"], ["demo", "mcp>=2.3"], "demos.mcp --plain"),
        (["demo", "--fleet", "3"], ["demo", "redis", dev.REDIS_SERVER], "demos.fleet 3"),
        (["demo", "--fast", "--fleet=3"], ["demo", "redis", dev.REDIS_SERVER], "demos.fleet --fast 3"),
        (["demo", "--dashboard", "--fast"], ["demo", "uvicorn>=0.35"], "demos.dashboard --fast"),
    ],
)
def test_each_demo_gets_its_arguments_and_what_it_needs(
    arguments: list[str],
    needs: list[str],
    started: str,
    calls: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed: list[str] = []
    monkeypatch.setattr(dev, "set_up", lambda *needs: installed.extend(needs))
    monkeypatch.setattr("sys.argv", ["dev.py", *arguments])
    assert dev.main() == 0
    assert installed == needs
    assert calls == [(dev.PYTHON, "-m", *started.split())]
    assert (Path.cwd() == dev.ROOT) == started.startswith("demos.")


def test_the_environment_keeps_what_earlier_commands_needed(
    calls: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev, "STAMP", tmp_path / "setup.json")
    monkeypatch.setattr(dev, "find_pip", lambda: ["pip"])
    monkeypatch.setattr(dev, "PYTHON", os.devnull)
    monkeypatch.setattr(dev.shutil, "which", lambda _: "python")
    monkeypatch.setattr(dev.venv, "create", lambda *_, **__: None)
    dev.set_up("demo", "uvicorn>=0.35")
    dev.set_up("redis", dev.REDIS_SERVER)
    dev.set_up("demo", dev.REDIS_SERVER)
    install = ("pip", "install", "-q", "--disable-pip-version-check", "-e")
    assert calls == [
        (*install, f"{dev.ROOT}[demo]", "uvicorn>=0.35"),
        (*install, f"{dev.ROOT}[demo,redis]", dev.REDIS_SERVER, "uvicorn>=0.35"),
    ]
