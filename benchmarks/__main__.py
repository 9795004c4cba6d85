"""Run every measurement, print it, and write `RESULTS.md` and `results.svg` beside this file."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

from benchmarks import (
    chart,
    costs,
    durable,
    hangup_langgraph,
    imports,
    language_models,
    loops,
    makespan,
    pipelines,
    plans,
    report,
    resolve,
    runs,
    yaml_graphs,
)
from benchmarks.section import Section

FOLDER = Path(__file__).parent
# What is measured in fresh processes and on a virtual clock first: the others heat up the machine.
MEASUREMENTS = (
    imports.measure,
    makespan.measure,
    plans.measure,
    costs.schedule,
    loops.measure,
    runs.measure,
    durable.measure,
    yaml_graphs.measure,
    hangup_langgraph.measure,
    pipelines.measure,
    costs.fanout,
    resolve.measure,
    language_models.measure,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure side by side with rivals.")
    parser.add_argument("--short", action="store_true", help="medians of 3, small sizes; writes nothing")
    short = parser.parse_args().short
    began = perf_counter()
    sections: list[Section] = []
    for measure in MEASUREMENTS:
        sections.append(measure(short=short))
        print(f"{perf_counter() - began:5.0f} s  {sections[-1].title}", flush=True)
        for verdict in sections[-1].verdicts:
            print(f"         {verdict.word:6}  {verdict.claim}: {verdict.measured} ({verdict.target})", flush=True)
    results = FOLDER / "RESULTS.md"
    kills = report.section_in(results.read_text(encoding="utf-8"), "Kills") if results.is_file() else ""
    text = report.render(sections, seconds=perf_counter() - began, chart="results.svg", campaign=kills)
    if short:
        print(text)
        return
    results.write_text(text, encoding="utf-8")
    points = [point for section in sections for point in section.points]
    (FOLDER / "results.svg").write_text(chart.draw(points), encoding="utf-8")
    print(f"written: {results}, {FOLDER / 'results.svg'}")


if __name__ == "__main__":
    main()
