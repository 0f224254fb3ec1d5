"""What users get: the wheel, built from this work tree, and the source distribution that it can be built from."""

import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    directory = str(tmp_path_factory.mktemp("wheel"))
    with zipfile.ZipFile(next(WheelBuilder(str(ROOT)).build(directory=directory, versions=["standard"]))) as archive:
        yield archive


@pytest.fixture(scope="module")
def paths(wheel: zipfile.ZipFile) -> set[str]:
    """The paths of the files in the wheel."""
    return set(wheel.namelist())


def files_in(directory: str) -> set[str]:
    """The paths of a directory's files, relative to the source."""
    found = (path for path in (SOURCE / directory).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(SOURCE).as_posix() for path in found}


def test_the_wheel_is_the_package_and_its_metadata_and_nothing_else(paths: set[str]) -> None:
    metadata = {path for path in paths if re.match(r"recloser-[^/]+\.dist-info/", path)}
    assert paths - metadata == files_in("recloser")


def test_the_wheel_has_one_demo_and_no_example_server(paths: set[str]) -> None:
    demos = {path for path in paths if "demo" in path or "example" in path or "mcp_server" in path}
    assert demos == {"recloser/cli/demo_command.py", *files_in("recloser/cli/demo")}


def test_the_wheel_has_what_is_not_python(paths: set[str]) -> None:
    scripts = files_in("recloser/fleet/_store/lua")
    page = files_in("recloser/dashboard/static")
    charts = files_in("recloser/_assets/uplot")
    assert {"acquire.lua", "report.lua"} <= {Path(path).name for path in scripts}
    assert {"index.html", "main.js", "style.css"} <= {Path(path).name for path in page}
    assert {"LICENSE", "uPlot.iife.min.js", "uPlot.min.css"} <= {Path(path).name for path in charts}
    assert scripts | page | charts | {"recloser/py.typed"} <= paths


def test_the_extra_of_a_demo_is_the_one_of_the_demo_in_the_wheel(wheel: zipfile.ZipFile, paths: set[str]) -> None:
    metadata = next(path for path in paths if path.endswith(".dist-info/METADATA"))
    extras = re.findall(r"^Provides-Extra: (.*)$", wheel.read(metadata).decode(), re.MULTILINE)
    assert [extra for extra in extras if "demo" in extra] == ["demo"]


def test_the_source_has_the_demos_and_their_tests(tmp_path: Path) -> None:
    built = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"dev.py", "demos/fleet/worker.py", "examples/mcp_server/server.py", "tests/demos/test_commands.py"} <= names
    assert not [name for name in names if name.startswith(".ci")]
