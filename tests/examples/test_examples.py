"""The examples: each of them runs as a user would run it, and does what it says."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from dagflow.events import DependencyStarted, DependencySucceeded

EXAMPLES = Path(__file__).parents[2] / "examples"
SVG = "{http://www.w3.org/2000/svg}"

SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
"""Those that run by themselves; a web service is for a server to run (test_fastapi_app.py)."""


@pytest.fixture(scope="module")
def ootd() -> Iterator[ModuleType]:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("ootd", EXAMPLES / "ootd.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["ootd"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ootd"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_example_runs(name: str, backend: str, tmp_path: Path) -> None:
    """Every example runs to its end, from any folder, without a warning, and needs neither typer nor rich."""
    hide = f"import sys, runpy; sys.argv = [{name!r}, '--backend', {backend!r}]\n"
    hide += "sys.modules.update(typer=None, rich=None)\n"
    hide += f"runpy.run_path({str(EXAMPLES / name)!r}, run_name='__main__')"
    command = [sys.executable, "-W", "error", "-X", "utf8", "-c", hide]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60)
    assert (0, "") == (found.returncode, found.stderr)
    assert found.stdout


@pytest.mark.slow
def test_ootd_prints_trace_timeline_and_drawings(tmp_path: Path) -> None:
    """The demonstration shows the outfit, the critical path, the graph in Mermaid, and writes a whole SVG file."""
    command = [sys.executable, "-X", "utf8", str(EXAMPLES / "ootd.py"), "--svg", "graph.svg"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=True).stdout
    assert "Outfit\n    weather: Weather(city='Reykjavik', sky='rain'" in shown
    assert "● critical path" in shown
    assert "flowchart TD" in shown
    assert "offline" in shown
    assert f"{SVG}svg" == ElementTree.parse(tmp_path / "graph.svg").getroot().tag
    assert str(tmp_path / "graph.svg") in shown


@pytest.mark.slow
def test_the_command_line_runs_ootd_with_its_script() -> None:
    """The example is a target of the command line, with the scripted model that it brings along."""
    command = [sys.executable, "-m", "dagflow", "run", str(EXAMPLES / "ootd.py"), "--lm", "scripted", "-i"]
    found = subprocess.run(
        [*command, '{"message": "Off to work"}'], capture_output=True, encoding="utf-8", timeout=60, check=True
    )
    assert {"weather", "agenda", "top", "bottom", "shoes", "extras", "reason"} == set(json.loads(found.stdout))


@pytest.mark.slow
async def test_ootd_looks_up_place_and_calendar_at_once(ootd: ModuleType) -> None:
    """Place and calendar start before either is there; the forecast starts after the place; each is called once."""
    result = await ootd.graph.run(ootd.GetDressed(message="Off to work"), lm=ootd.scripted_lm())
    order = [
        (type(event), event.name)
        for event in result.events
        if isinstance(event, DependencyStarted | DependencySucceeded)
    ]
    assert {"locate", "read_calendar"} == {name for kind, name in order[:2] if kind is DependencyStarted}
    assert order.index((DependencySucceeded, "locate")) < order.index((DependencyStarted, "forecast"))
    assert 4 == sum(kind is DependencyStarted for kind, _ in order)
    assert ["GetDressed", "Outfit"] == [type(node).__name__ for node in result.trace]
    assert ["all day", "10:00", "16:30", "19:30"] == [item.time for item in result.node.agenda]
    assert "Grandagarður 7\nupstairs" == result.node.agenda[-1].where


@pytest.mark.slow
async def test_ootd_takes_the_other_route(ootd: ModuleType) -> None:
    """A message about a day at home leads to the other node, which needs no calendar."""
    result = await ootd.graph.run(ootd.GetDressed(message="I work from home"), lm=ootd.scripted_lm())
    assert isinstance(result.node, ootd.StayIn)
    called = {event.name for event in result.events if isinstance(event, DependencyStarted)}
    assert {"locate", "forecast"} == called


CALENDAR = r"""BEGIN:VCALENDAR
BEGIN:VEVENT
DTSTART;TZID="Europe:Somewhere";X-NOTE="a:b":20261014T090000
SUMMARY:A very long
  title\, folded\; with a \\ in it\nand a second
 \Nand third line
BEGIN:VALARM
SUMMARY:not this one
END:VALARM
END:VEVENT
BEGIN:VEVENT
DTSTART:20261014T233000Z
SUMMARY;LANGUAGE=en:In UTC: late
LOCATION:Pier
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20261015
END:VEVENT
END:VCALENDAR
"""


def test_ootd_reads_calendars(ootd: ModuleType) -> None:
    """Folded lines, escapes, quoted parameters, alarms, dates, local and UTC times are read as RFC 5545 says."""
    local, utc, day = ootd.parse_calendar(CALENDAR)
    assert "A very long title, folded; with a \\ in it\nand a second\nand third line" == local.title
    assert (datetime(2026, 10, 14, 9), "") == (local.start, local.where)
    assert (datetime(2026, 10, 14, 23, 30, tzinfo=UTC), "In UTC: late", "Pier") == (utc.start, utc.title, utc.where)
    assert (date(2026, 10, 15), "", "") == (day.start, day.title, day.where)
    east = timezone(timedelta(hours=2))
    expected = [(date(2026, 10, 14), "09:00"), (date(2026, 10, 15), "01:30"), (date(2026, 10, 15), "all day")]
    assert expected == [event.local(east) for event in (local, utc, day)]


def test_ootd_reads_the_calendar_beside_it(ootd: ModuleType) -> None:
    """The calendar file is folded, as real ones are, and all its events are read."""
    text = (EXAMPLES / "data" / "calendar.ics").read_bytes()
    assert b"\r\n " in text
    titles = [event.title for event in ootd.parse_calendar(text.decode().replace("\r\n", "\n"))]
    assert 5 == len(titles)
    assert "Quarterly review with the board; slides are in the shared folder, bring the printed copy" in titles
