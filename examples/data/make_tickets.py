"""Makes the example stream: tickets.jsonl, and routes.jsonl with the adapter stack of each tenant.

    python3 make_tickets.py            writes both files beside this script
    python3 make_tickets.py --check    checks the two files instead of writing them

Only the standard library is needed, and a seed gives the same bytes on every machine.

Why the stream looks as it does
-------------------------------
* Tickets are written in the order of their arrival, up to two seconds late: a ticket may stand after
  tickets with a later `eventTime`. Most route changes fall between two tickets of a tenant that
  arrive in the wrong order, so a job that routes by arrival instead of event time gives wrong answers.
* No ticket shares its event time with a route, and no two tickets or routes share one: which route is
  valid is never a matter of taste.
* Two tenants have no route. They use the default stack, the base model.
* `expected` is the one right answer under the stack that is valid at the event time. A ticket of a
  domain stack mostly holds that domain; for some `no legal content` is the right answer.
"""

from __future__ import annotations

import argparse
import bisect
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "training"))

from corpus import DOMAINS, Corpus, Note, Split, Wording, answer, text_of  # noqa: E402

TICKETS_FILE = FOLDER / "tickets.jsonl"
ROUTES_FILE = FOLDER / "routes.jsonl"

SEED = 2026
TICKETS = 2000
TENANTS = 40
TENANTS_WITHOUT_ROUTE = 2
START_MILLIS = 1_700_000_000_000

MEAN_PAUSE_MILLIS = 1500
"""Between two bursts; a burst is a few tickets of one tenant."""

LONGEST_BURST = 4
LONGEST_GAP_IN_BURST_MILLIS = 900
LATEST_ARRIVAL_MILLIS = 2000

CHANGING_TENANTS_SHARE = 0.7
MOST_CHANGES = 3

DOMAIN_PRESENT_SHARE = 0.9
MIXED_SHARE = 0.3
HELD_OUT_SHARE = 0.7
ODD_WORD_SHARE = 0.02
LONGEST_TEXT = 400

DEFAULT_STACK = ""

STACKS: dict[str, tuple[str | None, Wording]] = {
    "": (None, Wording.PLAIN),
    "medical": ("medical", Wording.PLAIN),
    "legal": ("legal", Wording.PLAIN),
    "finance": ("finance", Wording.PLAIN),
    "formal": (None, Wording.FORMAL),
    "medical+formal": ("medical", Wording.FORMAL),
    "legal+formal": ("legal", Wording.FORMAL),
    "finance+formal": ("finance", Wording.FORMAL),
    "medical:0.5": ("medical", Wording.HEDGED),
    "legal:0.5": ("legal", Wording.HEDGED),
    "finance:0.5": ("finance", Wording.HEDGED),
    "formal:0.5": (None, Wording.POLITE),
}
"""Canonical stack -> what it answers: whose label (None: the topic), in which wording."""


@dataclass(frozen=True)
class Arrival:
    """A ticket before it has a text."""

    tenant: str
    event_time: int
    arrival_time: int


@dataclass(frozen=True)
class Route:
    tenant: str
    eventTime: int
    stack: str


@dataclass(frozen=True)
class Ticket:
    id: str
    tenant: str
    eventTime: int
    text: str
    expectedStack: str
    expected: str


class RouteTable:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[str, list[Route]] = defaultdict(list)
        for route in sorted(routes, key=lambda route: route.eventTime):
            self._routes[route.tenant].append(route)

    def stack_at(self, tenant: str, event_time: int) -> str:
        """The stack of the tenant's last route at or before the event time."""
        routes = self._routes.get(tenant, [])
        valid = bisect.bisect_right(routes, event_time, key=lambda route: route.eventTime)
        return routes[valid - 1].stack if valid else DEFAULT_STACK


def make(seed: int) -> tuple[list[Ticket], list[Route]]:
    """Each part has a random source of its own, so that a change to one leaves the others as they are."""
    arrivals = make_arrivals(Random(f"{seed} arrivals"))
    routes = make_routes(Random(f"{seed} routes"), arrivals)
    tickets = make_tickets(Random(f"{seed} texts"), arrivals, RouteTable(routes))
    return tickets, routes


def make_arrivals(random: Random) -> list[Arrival]:
    tenants = [f"tenant-{number:02}" for number in range(1, TENANTS + 1)]
    busyness = [random.uniform(0.5, 2.0) for _ in tenants]
    used_times: set[int] = set()
    arrivals: list[Arrival] = []
    clock = START_MILLIS
    while len(arrivals) < TICKETS:
        clock += 1 + round(random.expovariate(1 / MEAN_PAUSE_MILLIS))
        tenant = random.choices(tenants, busyness)[0]
        event_time = clock
        for _ in range(min(random.randint(1, LONGEST_BURST), TICKETS - len(arrivals))):
            # Two apart, so that a route change fits between any two tickets.
            while used_times & {event_time - 1, event_time, event_time + 1}:
                event_time += 1
            used_times.add(event_time)
            arrivals.append(Arrival(tenant, event_time, event_time + random.randint(0, LATEST_ARRIVAL_MILLIS)))
            event_time += random.randint(100, LONGEST_GAP_IN_BURST_MILLIS)
    return sorted(arrivals, key=lambda arrival: (arrival.arrival_time, arrival.event_time))


def make_routes(random: Random, arrivals: list[Arrival]) -> list[Route]:
    by_tenant: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        by_tenant[arrival.tenant].append(arrival)
    tenants = sorted(by_tenant)
    routed = sorted(random.sample(tenants, len(tenants) - TENANTS_WITHOUT_ROUTE))
    changing = set(random.sample(routed, round(len(tenants) * CHANGING_TENANTS_SHARE)))
    used_times = {arrival.event_time for arrival in arrivals}
    deck = StackDeck(random)
    routes: list[Route] = []
    for tenant in routed:
        first_ticket = min(arrival.event_time for arrival in by_tenant[tenant])
        wanted_times = [first_ticket - random.randint(5_000, 60_000)]
        if tenant in changing:
            wanted_times += choose_change_times(random, by_tenant[tenant])
        stacks = deck.deal(len(wanted_times))
        for wanted_time, stack in zip(wanted_times, stacks, strict=True):
            event_time = next(time for time in range(wanted_time, wanted_time + 1000) if time not in used_times)
            used_times.add(event_time)
            routes.append(Route(tenant, event_time, stack))
    return sorted(routes, key=lambda route: route.eventTime)


def choose_change_times(random: Random, arrivals: list[Arrival]) -> list[int]:
    """In the middle of the tenant's stream, where possible between two tickets that arrive in the wrong order."""
    middle = arrivals[len(arrivals) // 5 : len(arrivals) * 4 // 5]
    # A millisecond after the late ticket is still before the one that overtook it: event times are two apart.
    choices = [late.event_time + 1 for first, late in pairwise(middle) if late.event_time < first.event_time]
    if not choices:
        choices = [arrival.event_time + 1 for arrival in middle]
    changes = min(random.randint(1, MOST_CHANGES), len(choices))
    return sorted(random.sample(choices, changes))


class StackDeck:
    """Deals stacks like cards, so that all are used about equally often."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._deck: list[str] = []

    def deal(self, count: int) -> list[str]:
        """No two neighbours are equal: a change of route always changes the stack."""
        dealt: list[str] = []
        while len(dealt) < count:
            if all(stack in dealt[-1:] for stack in self._deck):
                self._deck += self._random.sample(list(STACKS), len(STACKS))
            position = next(i for i, stack in enumerate(self._deck) if stack not in dealt[-1:])
            dealt.append(self._deck.pop(position))
        return dealt


def make_tickets(random: Random, arrivals: list[Arrival], routes: RouteTable) -> list[Ticket]:
    texts = TicketTexts(random)
    tickets = []
    for number, arrival in enumerate(arrivals, start=1):
        stack = routes.stack_at(arrival.tenant, arrival.event_time)
        domain, wording = STACKS[stack]
        note = texts.note_for(domain)
        tickets.append(
            Ticket(
                id=f"T{number:04}",
                tenant=arrival.tenant,
                eventTime=arrival.event_time,
                text=text_of(note),
                expectedStack=stack,
                expected=answer(note, domain, wording),
            )
        )
    return tickets


class TicketTexts:
    """Notes as the model was tested on them: mostly held-out sentences, never novel phrases."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._usual = Corpus(random, odd_word_share=0)
        self._odd = Corpus(random, odd_word_share=1)

    def note_for(self, domain: str | None) -> Note:
        domains = self._domains(domain)
        split = Split.HELD_OUT if self._random.random() < HELD_OUT_SHARE else Split.ADAPTER_TRAINING
        is_odd = self._random.random() < ODD_WORD_SHARE
        while True:
            note = (self._odd if is_odd else self._usual).note(domains, split)
            text = text_of(note)
            if len(text) <= LONGEST_TEXT and text.isascii() != is_odd:
                return note

    def _domains(self, domain: str | None) -> list[str]:
        if domain is None:
            first = self._random.choice(DOMAINS)
        elif self._random.random() < DOMAIN_PRESENT_SHARE:
            first = domain
        else:
            first = self._random.choice([other for other in DOMAINS if other != domain])
        if self._random.random() >= MIXED_SHARE:
            return [first]
        second = self._random.choice([other for other in DOMAINS if other not in (first, domain)])
        return self._random.sample([first, second], 2)


def problems(tickets: list[Ticket], routes: list[Route]) -> list[str]:
    """What is wrong with the two files, each as a sentence."""
    found = []
    if len({ticket.id for ticket in tickets}) != len(tickets):
        found.append("two tickets share an id")
    times = [record.eventTime for record in [*tickets, *routes]]
    if len(set(times)) != len(times):
        found.append("two records share an event time")
    table = RouteTable(routes)
    for ticket in tickets:
        valid = table.stack_at(ticket.tenant, ticket.eventTime)
        if valid != ticket.expectedStack:
            found.append(f"{ticket.id}: the valid stack is {valid!r}, not {ticket.expectedStack!r}")
    latest = 0
    for ticket in tickets:
        latest = max(latest, ticket.eventTime)
        if latest - ticket.eventTime > LATEST_ARRIVAL_MILLIS:
            found.append(f"{ticket.id} is {latest - ticket.eventTime} ms late")
    found += [f"{ticket.id}: the text is too long" for ticket in tickets if len(ticket.text) > LONGEST_TEXT]
    found += [f"{route.tenant}: unknown stack {route.stack!r}" for route in routes if route.stack not in STACKS]
    found += route_problems(tickets, routes)
    return found


def route_problems(tickets: list[Ticket], routes: list[Route]) -> list[str]:
    found = []
    first_route = {route.tenant: route.eventTime for route in reversed(routes)}
    tenants = {ticket.tenant for ticket in tickets}
    without_route = tenants - first_route.keys()
    if len(without_route) != TENANTS_WITHOUT_ROUTE:
        found.append(f"{len(without_route)} tenants have no route, not {TENANTS_WITHOUT_ROUTE}")
    for ticket in tickets:
        if ticket.eventTime < first_route.get(ticket.tenant, ticket.eventTime):
            found.append(f"{ticket.id} is older than the first route of {ticket.tenant}")
    changing = {earlier.tenant for earlier, later in pairwise(by_tenant_and_time(routes)) if is_change(earlier, later)}
    if len(changing) < len(tenants) / 2:
        found.append(f"only {len(changing)} of {len(tenants)} tenants change their route")
    return found


def by_tenant_and_time(routes: list[Route]) -> list[Route]:
    return sorted(routes, key=lambda route: (route.tenant, route.eventTime))


def is_change(earlier: Route, later: Route) -> bool:
    return earlier.tenant == later.tenant and earlier.stack != later.stack


def overtaken(tickets: list[Ticket], routes: list[Route]) -> int:
    """Tickets that arrive when a newer ticket of the tenant has already been answered under a newer route."""
    table = RouteTable(routes)
    latest: dict[str, int] = {}
    count = 0
    for ticket in tickets:
        latest[ticket.tenant] = max(latest.get(ticket.tenant, 0), ticket.eventTime)
        count += table.stack_at(ticket.tenant, latest[ticket.tenant]) != ticket.expectedStack
    return count


def to_lines(records: Iterable[Ticket | Route]) -> str:
    return "".join(json.dumps(asdict(record), ensure_ascii=False) + "\n" for record in records)


def read_lines(path: Path) -> list[dict[str, object]]:
    # Not str.splitlines(): it also splits at characters that may stand inside a text.
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def check(seed: int) -> list[str]:
    tickets = [Ticket(**record) for record in read_lines(TICKETS_FILE)]
    routes = [Route(**record) for record in read_lines(ROUTES_FILE)]
    found = problems(tickets, routes)
    if (tickets, routes) != make(seed):
        found.append("the files are not what this script makes from its seed")
    if not found:
        print(summary(tickets, routes))
    return found


def summary(tickets: list[Ticket], routes: list[Route]) -> str:
    tenants = len({ticket.tenant for ticket in tickets})
    changes = len(routes) - len({route.tenant for route in routes})
    return (
        f"{len(tickets)} tickets of {tenants} tenants, {len(routes)} routes of which {changes} are changes; "
        f"{overtaken(tickets, routes)} tickets arrive after a ticket of a newer route"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="check the two files instead of writing them")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()

    if arguments.check:
        found = check(arguments.seed)
        if found:
            sys.exit("\n".join(found))
        return
    tickets, routes = make(arguments.seed)
    TICKETS_FILE.write_text(to_lines(tickets), encoding="utf-8", newline="\n")
    ROUTES_FILE.write_text(to_lines(routes), encoding="utf-8", newline="\n")
    print(summary(tickets, routes))


if __name__ == "__main__":
    main()
