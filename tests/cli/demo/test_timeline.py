import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
import httpx
import pytest
from matplotlib import image
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.plan import DEFAULT, FAST, Plan
from recloser.cli.demo.summary import summarise
from recloser.cli.demo.timeline import draw
from tests.cli.demo.stage import FAILING, HANGING, HEALTHY, Rehearsal, script

TEXTS = {
    AnswerSource.SERVICE: "from the service",
    AnswerSource.MEMORY: "from memory",
    AnswerSource.DEFAULT: "by default",
    AnswerSource.FAILURE: "failed",
}
REFUSED = httpx.ConnectError("refused")


SCRIPT = script(HEALTHY, FAILING, HANGING, HEALTHY)


def rehearse(plan: Plan) -> Experiment:
    """Each lane calls every 20 ms: in the script 15, 10, 30 and 15 times in the four phases. Failures take 5 ms."""
    rehearsal = Rehearsal(plan)
    clock = rehearsal.clock

    async def calls() -> None:
        for phase in rehearsal.experiment.plan.phases:
            rehearsal.experiment.enter(phase)
            for number in range(round(phase.seconds / 0.02)):
                for protected in (True, False):
                    following = clock() + 0.01
                    what = {"error": REFUSED, "seconds": 0.005} if phase.down else {}
                    await rehearsal.call(protected=protected, number=number % plan.orders, **what)
                    clock.set(following)

    anyio.run(calls)
    return rehearsal.experiment


@pytest.fixture(scope="module")
def outage() -> Experiment:
    return rehearse(SCRIPT)


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
    assert {f"{protected[outcome]} {text}" for outcome, text in TEXTS.items()} <= found
    assert {"40 failed", "30 from the service"} <= found


@pytest.mark.parametrize("plan", [DEFAULT, FAST, SCRIPT], ids=["default", "fast", "short"])
def test_no_label_covers_another_one(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = list[Figure]()
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    experiment = rehearse(plan)
    draw(experiment, summarise(experiment), tmp_path / "timeline.svg")
    renderer = FigureCanvasAgg(figures[0]).get_renderer()
    figures[0].draw(renderer)
    texts = [child for axes in figures[0].axes for child in axes.get_children() if isinstance(child, Text)]
    drawn = [text for text in (*texts, *figures[0].texts) if text.get_text()]
    assert len(drawn) >= 20
    for one, other in combinations(drawn, 2):
        overlap = one.get_window_extent(renderer).overlaps(other.get_window_extent(renderer))
        assert not overlap, (one.get_text(), other.get_text())


def test_the_same_run_gives_the_same_picture(outage: Experiment, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(outage, summarise(outage), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_a_breaker_that_never_opens_can_be_drawn_too(tmp_path: Path) -> None:
    never_opened = rehearse(replace(SCRIPT, failure_threshold=1000))
    path = tmp_path / "timeline.svg"
    draw(never_opened, summarise(never_opened), path)
    assert labels(path).count("40 failed") == 2
    assert "open" not in labels(path)


def test_a_png_is_of_one_size_too(outage: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "timeline.png"
    draw(outage, summarise(outage), path)
    assert image.imread(path).shape == (880, 1100, 4)
