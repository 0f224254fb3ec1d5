import sys
from pathlib import Path

import pytest

from demos.mcp.example import Example, locate


def package_in(root: Path) -> Path:
    package = root / "src" / "recloser" / "cli" / "mcp_demo"
    package.mkdir(parents=True)
    return package


def test_a_wheel_has_the_server_in_the_package(tmp_path: Path) -> None:
    package = package_in(tmp_path)
    (package / "server").mkdir()
    assert locate(package) == Example(package / "server", "demos.mcp.server")


def test_a_clone_has_it_among_its_examples(tmp_path: Path) -> None:
    package = package_in(tmp_path)
    server = tmp_path / "examples" / "mcp_server"
    server.mkdir(parents=True)
    assert locate(package) == Example(server, "examples.mcp_server", (tmp_path / "src", tmp_path))


def test_it_may_be_nowhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the example server is neither in .*mcp_demo nor in .*examples"):
        locate(package_in(tmp_path))


def test_the_command_is_a_module_of_this_python() -> None:
    assert locate().command("--help") == [sys.executable, "-m", "examples.mcp_server", "--help"]


def test_what_is_searched_for_it_comes_before_what_was_searched_anyhow(monkeypatch: pytest.MonkeyPatch) -> None:
    example = Example(Path("server"), "server", (Path("one"), Path("two")))
    monkeypatch.setenv("PYTHONPATH", "three")
    assert example.environment["PYTHONPATH"].replace(";", ":") == "one:two:three"
    monkeypatch.delenv("PYTHONPATH")
    assert example.environment["PYTHONPATH"].replace(";", ":") == "one:two"
    assert "PYTHONPATH" not in Example(Path("server"), "server").environment


def test_the_services_come_from_the_server_s_own_files() -> None:
    upstream = locate().make_upstream()
    with upstream.serving() as url:
        assert url.startswith("http://127.0.0.1:")
