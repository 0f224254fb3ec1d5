import re
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
import httpx
import pytest
from matplotlib import image

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.summary import summarise
from recloser.cli.demo.timeline import draw
from tests.cli.demo.stage import FAILING, HANGING, HEALTHY, Rehearsal, script

REFUSED = httpx.ConnectError("refused")


def rehearse(failure_threshold: int) -> Experiment:
    """An outage from 0.3 to 1.1 s; each lane calls 15, 10, 30 and 15 times in the four phases."""
    rehearsal = Rehearsal(script(HEALTHY, FAILING, HANGING, HEALTHY, failure_threshold=failure_threshold))

    async def calls() -> None:
        for phase in rehearsal.experiment.plan.phases:
            rehearsal.experiment.enter(phase)
            for _ in range(round(phase.seconds / 0.02)):
                for protected in (True, False):
                    await rehearsal.call(protected=protected, error=REFUSED if phase.down else None)
                    rehearsal.clock.advance(0.01)

    anyio.run(calls)
    return rehearsal.experiment


@pytest.fixture(scope="module")
def outage() -> Experiment:
    return rehearse(failure_threshold=5)


def labels(path: Path) -> list[str]:
    """The texts of the picture: matplotlib writes outlines, and beside most of them the text as a comment."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"))


def test_the_picture_is_an_svg_of_one_size(outage: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    draw(outage, summarise(outage), path)
    root = ET.parse(path).getroot()  # noqa: S314 - the picture is ours
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("792pt", "633.6pt")


def test_the_picture_s_labels_say_what_came_out(outage: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    draw(outage, summarise(outage), path)
    protected = outage.protected.counts
    found = set(labels(path))
    assert {"healthy", "failing", "hanging", "closed", "open", "service", "breaker", "probes"} <= found
    assert {f"{protected['failure']} failed", f"{protected['rejected']} rejected at once"} <= found
    assert {"40 failed", "30 answered"} <= found


def test_the_same_run_gives_the_same_picture(outage: Experiment, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(outage, summarise(outage), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_breaker_that_never_opens_can_be_drawn_too(tmp_path: Path) -> None:
    never_opened = rehearse(failure_threshold=1000)
    path = tmp_path / "timeline.svg"
    draw(never_opened, summarise(never_opened), path)
    assert labels(path).count("40 failed") == 2
    assert "open" not in labels(path)


def test_a_png_is_of_one_size_too(outage: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "timeline.png"
    draw(outage, summarise(outage), path)
    assert image.imread(path).shape == (880, 1100, 4)
