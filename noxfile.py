"""Sessions for what takes long or needs several Pythons: `nox --list`, `nox -s tests`.

The short way to the checks of one Python is `python3 dev.py test` and `python3 dev.py lint`.
"""

import os
import runpy
import shutil
import subprocess
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "typing"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]
if pyenv := shutil.which("pyenv"):
    # pyenv puts every Python that it has on the path, but only those named here answer.
    installed = subprocess.run([pyenv, "versions", "--bare"], check=True, capture_output=True, text=True).stdout.split()
    os.environ.setdefault("PYENV_VERSION", ":".join(v for v in installed if v.rpartition(".")[0] in PYTHONS))

DEV = runpy.run_path("dev.py")
CHECKS: list[str] = DEV["CHECKS"]
TYPES: list[str] = DEV["TYPES"]
SIDE_BY_SIDE: list[str] = DEV["SIDE_BY_SIDE"]

# The asyncio circuit breakers that benchmarks/ compares with.
PEERS = [
    "aiobreaker",
    "aioresilience",
    "circuitbreaker",
    "fluxgate",
    "hyx",
    "interlock-cb",
    "nopanic",
    "purgatory",
    "pyresilience",
]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Runs the tests on every Python that is found."""
    session.install("--editable", ".[test]")
    session.run("pytest", *SIDE_BY_SIDE, "--ignore=tests/test_typing.py", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Runs the tests with the oldest versions that pyproject.toml allows.

    Without the schedules: the oldest anyio delivers cancellations by trying again and again, which virtual time never
    leaves behind.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    tested = (
        "aiosqlite",
        "asyncpg",
        "cache",
        "cli",
        "demo",
        "fastmcp",
        "httpx",
        "httpx2",
        "opentelemetry",
        "prometheus",
        "psycopg",
        "redis",
        "retry",
        "sqlalchemy",
        "trio",
        "test",
    )  # mcp has two lines of versions
    bounds = [
        *project["dependencies"],
        *(bound for extra in tested for bound in extras[extra]),
    ]
    ignored = ["--ignore=tests/test_typing.py", "--ignore=tests/schedules"]
    old = ["-W", "default::DeprecationWarning"]  # of libraries that did not know the Python of today
    oldest = [bound.replace(">=", "==") for bound in bounds if ">=" in bound]
    session.install("--editable", ".[test]", *oldest)
    session.run("pytest", *SIDE_BY_SIDE, *ignored, *old, *session.posargs)


@nox.session(python="3.11")
def fleet(session: nox.Session) -> None:
    """Plays every fault of Redis, of the network and of workers with real processes, ten times each."""
    session.install("--editable", ".[test]")
    session.run("pytest", "tests/fleet/processes", *session.posargs, env={"RECLOSER_FLEET_ROUNDS": "10"})


@nox.session
def mcp1(session: nox.Session) -> None:
    """Runs the tests of MCP servers with the last version 1 of mcp, which can't be installed beside version 2."""
    session.install("--editable", ".[trio]", "mcp==1.30.*", "hypothesis", "pytest>=9", "pytest-asyncio>=1.3")
    session.run("pytest", "tests/integrations/test_mcp.py", *session.posargs)


SDK_TESTS = ["hypothesis", "pytest>=9", "pytest-asyncio>=1.3"]


@nox.session(python="3.11")
def sdks(session: nox.Session) -> None:
    """Runs real SDKs over the transports: those of model APIs and of other services."""
    clients = ["anthropic", "elasticsearch", "google-genai", "huggingface_hub", "litellm", "mcp>=2.3", "openai"]
    extras = ".[httpx,httpx2,redis,retry,trio]"
    session.install("--editable", extras, *SDK_TESTS, *clients, "qdrant-client", "uvicorn>=0.35")
    session.run("pytest", "tests/sdks", *session.posargs)


@nox.session(python="3.11")
def sdks_before_httpx2(session: nox.Session) -> None:
    """Runs the last versions of openai and anthropic that speak httpx."""
    session.install("--editable", ".[httpx,httpx2,redis,retry,trio]", *SDK_TESTS, "anthropic<1", "openai<3")
    session.run("pytest", "tests/sdks", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Checks style, format, spelling, changelog fragments and generated docs."""
    session.install("--editable", ".[dev]")
    for check in CHECKS:
        if check not in TYPES:
            session.run(*check.split())


@nox.session
def typing(session: nox.Session) -> None:
    """Checks imports between modules, and types with mypy and with pyright: of the package and of the typing tests."""
    session.install("--editable", ".[dev]")
    for check in TYPES:
        session.run(*check.split())
    session.run("pytest", "tests/test_typing.py", env={"CI": "true"})


@nox.session
def coverage(session: nox.Session) -> None:
    """Fails below 100 % branch coverage."""
    session.install("--editable", ".[dev]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *SIDE_BY_SIDE, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", "--fail-under=100")


@nox.session
def bench_fleet(session: nox.Session) -> None:
    """Measures a fleet of processes over a real Redis, then recloser against the peers that share through Redis."""
    session.install("--editable", ".[test]", "interlock-cb", "purgatory")
    session.run("python", "-m", "benchmarks.fleet", *session.posargs)
    session.run("python", "-m", "benchmarks.fleet_peers")


@nox.session
def bench_dashboard(session: nox.Session) -> None:
    """Measures what the dashboard costs a service of 1 000 breakers at 10 000 calls per second."""
    session.install("--editable", ".", "uvicorn>=0.35")
    session.run("python", "-m", "benchmarks.dashboard")


@nox.session
def bench(session: nox.Session) -> None:
    """Measures recloser and its peers; `nox -s bench -- --write` measures on every Python, and writes the figures."""
    extras = "aiosqlite,asyncpg,cache,httpx,httpx2,opentelemetry,prometheus,retry,trio"
    session.install("--editable", f".[{extras}]", "opentelemetry-sdk", *PEERS)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Runs the demo."""
    session.install("--editable", ".[demo]")
    session.run("recloser", "demo", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Builds the documentation site in build/site; a warning is an error."""
    session.install("--editable", ".[docs]")
    session.run(*DEV["SITE"].split())


@nox.session
def soak(session: nox.Session) -> None:
    """Explores many more schedules and many more Hypothesis examples than CI does."""
    session.install("--editable", ".[test]")
    ignored = ["--ignore=tests/test_typing.py"]
    counts = {"RECLOSER_FLEET_EXAMPLES": "20000", "RECLOSER_FLEET_WORKERS": "1000", "RECLOSER_SCHEDULES": "200000"}
    env = {"RECLOSER_FULL": "true", **{name: session.env.get(name) or count for name, count in counts.items()}}
    session.run("pytest", *SIDE_BY_SIDE, "--hypothesis-profile=soak", *ignored, *session.posargs, env=env)


@nox.session
def simulation(session: nox.Session) -> None:
    """Simulates a fleet of 1 000 workers with 100 breakers each, and prints its figures."""
    session.install("--editable", ".[test]")
    session.run("python", "-m", "tests.fleet.simulation", *(session.posargs or ("1000", "100")))
