"""The outfit of the day: what to wear, by the weather and by what is in the calendar.

A message comes in, and a language model decides what it calls for. If that is an outfit, the place and the
calendar are looked up at once, the forecast and the day's agenda as soon as the place is known, and the model
fills in the garments.

    python examples/ootd.py                    # or: --backend trio, --message "..."
    dagflow run examples/ootd.py --lm scripted -i '{"message": "Off to work"}'

It runs offline: the services answer from files beside it, and the "model" is a script.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import anyio
import attrs

from dagflow import Dep, Graph, GraphResult, Node, dep, field
from dagflow.report.timeline import render_timeline
from dagflow.testing import ScriptedLM

DATA = Path(__file__).parent / "data"
TODAY = date(2026, 10, 14)  # the day that the files are from
ALL_DAY = "all day"


# What we know about the day. Plain attrs classes, nothing of dagflow in them.


@attrs.frozen
class Place:
    city: str
    latitude: float
    longitude: float
    utc_offset: timedelta


@attrs.frozen
class Weather:
    city: str
    sky: str
    feels_like_min: float  # degrees Celsius
    feels_like_max: float
    rain_chance: int  # percent
    wind: float  # km/h


@attrs.frozen
class Event:
    start: datetime | date  # a date for a whole day; without a time zone for "on the clock of where I am"
    title: str
    where: str

    def local(self, zone: timezone) -> tuple[date, str]:
        if not isinstance(self.start, datetime):
            return self.start, ALL_DAY
        local = self.start.astimezone(zone) if self.start.tzinfo else self.start
        return local.date(), f"{local:%H:%M}"


@attrs.frozen
class Appointment:
    time: str
    title: str
    where: str


# Where it comes from. A parameter marked with `Dep` is another function's result; who waits for whom follows.


async def locate() -> Place:
    found = await fetch("location.json", latency=0.15)
    return Place(found["city"], found["lat"], found["lon"], timedelta(seconds=found["offset"]))


async def forecast(place: Annotated[Place, Dep(locate)]) -> Weather:
    # With a network, `place` would go into the URL.
    hourly = (await fetch("forecast.json", latency=0.2))["hourly"]
    hours = [hour for hour, when in enumerate(hourly["time"]) if 8 <= datetime.fromisoformat(when).hour <= 22]

    def during_the_day(name: str) -> list[Any]:
        return [hourly[name][hour] for hour in hours]

    return Weather(
        city=place.city,
        sky=sky(max(during_the_day("weather_code"))),
        feels_like_min=min(during_the_day("apparent_temperature")),
        feels_like_max=max(during_the_day("apparent_temperature")),
        rain_chance=max(during_the_day("precipitation_probability")),
        wind=max(during_the_day("wind_speed_10m")),
    )


def read_calendar() -> list[Event]:  # not async: it runs in a worker thread, and holds nobody up
    time.sleep(0.1)  # a slow disk
    return parse_calendar((DATA / "calendar.ics").read_text(encoding="utf-8"))


def todays_agenda(
    events: Annotated[list[Event], Dep(read_calendar)],
    place: Annotated[Place, Dep(locate)],  # `forecast` reads it too; it is looked up once
) -> list[Appointment]:
    zone = timezone(place.utc_offset)
    today = [(event, *event.local(zone)) for event in events]
    agenda = [Appointment(clock, event.title, event.where) for event, day, clock in today if day == TODAY]
    return sorted(agenda, key=lambda appointment: (appointment.time != ALL_DAY, appointment.time))


# The graph. A node's fields are its inputs; the return hint of `__call__` names what may follow.


class GetDressed(Node):
    message: str

    async def __call__(self) -> Outfit | StayIn: ...  # left open: the model chooses


class Outfit(Node):
    weather: Weather = dep(forecast)
    agenda: list[Appointment] = dep(todays_agenda, offload="inline")
    top: str = field(description="what to wear above the waist, in layers where it is cold")
    bottom: str = field(description="trousers, skirt or the like")
    shoes: str
    extras: list[str] = field(description="what else to take along, such as an umbrella; only what is needed")
    reason: str = field(description="one sentence: why this, for this weather and these appointments")

    async def __call__(self) -> None: ...


class StayIn(Node):
    weather: Weather = dep(forecast)
    comfort: str = field(description="one sentence: what makes the day at home a good one")

    async def __call__(self) -> None: ...


graph = Graph(start=GetDressed)


# The services, as files.


async def fetch(name: str, *, latency: float) -> Any:
    """Stand in for a web service: the answer is a file, and takes `latency` seconds."""
    await anyio.sleep(latency)
    return json.loads(await anyio.Path(DATA / name).read_text(encoding="utf-8"))


def sky(code: int) -> str:
    """Put a weather code of the WMO in words (https://open-meteo.com/en/docs)."""
    words = {
        0: "clear",
        3: "cloudy",
        48: "foggy",
        57: "drizzle",
        67: "rain",
        77: "snow",
        82: "showers",
        99: "storm",
    }
    return next(word for highest, word in words.items() if code <= highest)


def parse_calendar(text: str) -> list[Event]:
    """Read the events of an iCalendar file (RFC 5545): folded lines, escapes, dates, local and UTC times."""
    unfolded = re.sub(r"\n[ \t]", "", text)
    events: list[Event] = []
    inside: list[str] = []
    properties: dict[str, str] = {}
    # NAME;PARAMETER="...":VALUE, where a quoted parameter may hold a colon
    for name, value in re.findall(r'^([\w-]+)(?:"[^"\n]*"|[^":\n])*:(.*)$', unfolded, re.MULTILINE):
        if name == "BEGIN":
            inside.append(value)
        elif name == "END":
            if inside.pop() == "VEVENT":
                events.append(to_event(properties))
                properties = {}
        elif inside[-1] == "VEVENT":  # and not an alarm within it
            properties[name] = value
    return events


def to_event(properties: dict[str, str]) -> Event:
    # An eight-digit DTSTART is a day; a time in UTC ends in "Z"; any other is on the clock of where one is.
    start = properties["DTSTART"]
    return Event(
        start=date.fromisoformat(start) if len(start) == 8 else datetime.fromisoformat(start),
        title=unescape(properties.get("SUMMARY", "")),
        where=unescape(properties.get("LOCATION", "")),
    )


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] in "nN" else escaped[1], text)


def scripted_lm() -> ScriptedLM:
    """Make a stand-in for a language model: offline, it gives the same answers each time."""
    return ScriptedLM(
        {
            "choose": lambda request: "StayIn" if "home" in request.resolved["message"] else "Outfit",
            "Outfit": {
                "top": "a merino base layer, a wool sweater and a waterproof shell",
                "bottom": "dark wool trousers",
                "shoes": "waterproof leather boots",
                "extras": ["gloves", "a warm hat", "a smart scarf for dinner"],
                "reason": "It feels like freezing, with wind and rain from noon on: layers under a shell, and wool "
                "that is smart enough for the board and for dinner.",
            },
            "StayIn": {"comfort": "Thick socks, a pot of tea, and the rain outside the window."},
        },
        latency=0.1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What to wear today.")
    parser.add_argument("--message", default="Good morning! Off to the office, then dinner with Ana.")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    parser.add_argument("--svg", type=Path, default=Path("ootd.svg"), help="where to draw the graph")
    arguments = parser.parse_args()

    result = graph.run_sync(GetDressed(message=arguments.message), lm=scripted_lm(), backend=arguments.backend)

    print_trace(result)
    print(f"\nTimeline, on {arguments.backend}, with a scripted model (offline):\n")
    print(render_timeline(result.timeline))
    print(f"Used: {result.usage}\n")
    print(graph.to_mermaid())
    arguments.svg.write_text(graph.to_svg(), encoding="utf-8")
    print(f"The graph is drawn in {arguments.svg.resolve()}")


def print_trace(result: GraphResult) -> None:
    for node in result.trace:
        print(type(node).__name__)
        for name, value in vars(node).items():
            print(f"    {name}: {'' if isinstance(value, list) else value}")
            for item in value if isinstance(value, list) else []:
                print(f"      - {item}")


if __name__ == "__main__":
    main()
