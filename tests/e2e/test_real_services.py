"""What every backend does with a real service; runs with `--run-e2e` only, and asks what the environment has."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType

import anyio
import pytest

from dagflow import BaseLM, Graph, GraphResult, Node, NodeConfig, field
from dagflow.events import LMCalled, Token
from e2e.services import SERVICES, Missing, Service

OOTD = Path(__file__).parents[2] / "examples" / "ootd.py"

pytestmark = [
    pytest.mark.e2e,
    # The SDKs leave what they do not read of a stream to the garbage collector, and trio tells of it.
    pytest.mark.filterwarnings(
        r"ignore:Async generator '(openai|anthropic|pydantic_ai|httpx2|httpcore2)\.:ResourceWarning"
    ),
    # What libraries do when they are imported, and no business of ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pydantic"),
]


class Sky(Enum):
    CLEAR = "clear"
    RAIN = "rain"


class Letter(Node):
    text: str

    async def __call__(self) -> "Report": ...


class Report(Node):
    """The weather that a letter tells of."""

    city: str
    sky: Sky
    degrees: float = field(description="the temperature in degrees Celsius")
    words: list[str] = field(description="what the letter calls the weather; at least one word")

    async def __call__(self) -> None: ...


class Errand(Node):
    text: str

    async def __call__(self) -> "Purchase | Visit": ...


class Purchase(Node):
    """Something is to be bought."""

    what: str

    async def __call__(self) -> None: ...


class Visit(Node):
    """Somebody is to be visited."""

    whom: str

    async def __call__(self) -> None: ...


LETTER = Letter(text="Greetings from Faro. The sky is clear, it is a warm and sunny 24 degrees.")
REPORT, ERRANDS = Graph(start=Letter), Graph(start=Errand)


def each(able: Callable[[Service], bool] = lambda service: True) -> pytest.MarkDecorator:
    """A test for each service whose backend is able to pass it."""
    services = [service for service in SERVICES if able(service)]
    return pytest.mark.parametrize("service", services, ids=lambda service: service.name)


@pytest.fixture
def lm(service: Service, record_property: Callable[[str, object], None]) -> BaseLM:
    """The backend of a service; the test is skipped where the environment lacks what it needs."""
    record_property("service", service.name)
    try:
        found = service.find()
    except Missing as missing:
        record_property("about", str(missing))
        pytest.skip(f"{service.name}: {missing}")
    record_property("about", found.about)
    return found.make()


@pytest.fixture
def patience(pytestconfig: pytest.Config) -> float:
    """Seconds for a test: a little less than pytest gives it; `-o faulthandler_timeout=600` is for slow models."""
    given = float(pytestconfig.getini("faulthandler_timeout"))
    return given * 0.9 if given else 600.0


@pytest.fixture(scope="module")
def ootd() -> Iterator[ModuleType]:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("ootd", OOTD)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["ootd"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ootd"]


def assert_asked(result: GraphResult, *purposes: str) -> None:
    """Check that each of these was asked for, and that the service said what it used."""
    called = [event for event in result.events if isinstance(event, LMCalled)]
    assert set(purposes) == {event.purpose for event in called}
    assert all(event.model for event in called)
    assert result.usage.requests >= len(purposes)
    assert result.usage.input_tokens > 0 < result.usage.output_tokens
    assert not result.usage.estimated


@each()
async def test_it_fills(lm: BaseLM, patience: float) -> None:
    """A text becomes a typed value: an enum, a number, a list."""
    with anyio.fail_after(patience):
        result = await REPORT.run(LETTER, lm=lm)
    assert isinstance(result.node, Report)
    assert result.node.city
    assert isinstance(result.node.sky, Sky)
    assert result.node.words
    assert_asked(result, "fill")


@each()
async def test_it_chooses(lm: BaseLM, patience: float) -> None:
    """One of two types is chosen, and made."""
    with anyio.fail_after(patience):
        result = await ERRANDS.run(Errand(text="We are out of milk."), lm=lm)
    assert isinstance(result.node, Purchase | Visit)
    assert_asked(result, "choose", "fill")


@each(lambda service: service.tools)
async def test_it_calls_tools(lm: BaseLM, patience: float) -> None:
    """What the model cannot know it asks a tool for, before it answers."""
    asked: list[str] = []

    async def code_of(door: str) -> int:
        """Look up the code that opens a door."""
        asked.append(door)
        return 4711

    class Code(Node):
        """The code of the door that is asked about, which only the tool knows."""

        node_config = NodeConfig(tools=(code_of,))
        code: int

        async def __call__(self) -> None: ...

    with anyio.fail_after(patience):
        made = await lm.fill(Code, {}, "Find the code of the door 'cellar' with the tool.")
    assert isinstance(made.code, int)
    assert asked


@each(lambda service: service.tokens)
async def test_it_streams(lm: BaseLM, patience: float) -> None:
    """Whoever follows the run gets the answer in pieces, before the call is over."""
    with anyio.fail_after(patience):
        async with REPORT.stream(LETTER, lm=lm) as stream:
            events = [event async for event in stream]
    kinds = [type(event) for event in events]
    assert "".join(event.text for event in events if isinstance(event, Token))
    assert kinds.index(Token) < kinds.index(LMCalled)


@each()
async def test_it_dresses_for_the_day(lm: BaseLM, patience: float, ootd: ModuleType) -> None:
    """The example runs with a real model: a choice of what the day calls for, then the garments."""
    with anyio.fail_after(patience):
        result = await ootd.graph.run(ootd.GetDressed(message="Off to the office, then dinner with Ana."), lm=lm)
    assert isinstance(result.node, ootd.Outfit | ootd.StayIn)
    assert "Reykjavik" == result.node.weather.city
    assert ["GetDressed", type(result.node).__name__] == [type(node).__name__ for node in result.trace]
    assert_asked(result, "choose", "fill")
