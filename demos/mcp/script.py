"""The script: the calls of each phase, and what the demo expects of them."""

import json
from dataclasses import dataclass

from demos.mcp.facts import Ask, Kind, Probe, Step

__all__ = ["OPEN", "PHASES", "RECOVERING", "RESET_SECONDS", "Phase"]

RESET_SECONDS = 3.0
"""How long the breakers stay open: longer than the phases `failing` and `open` take, which are some 70 calls."""

_API, _QUERY, _USER, _DATA = (
    "call_external_api",
    "query_database",
    "get_user_with_fallback",
    "get_data_with_multiple_fallbacks",
)
_OSLO = json.dumps([{"name": "Oslo", "inhabitants": 717_710}])
_BERGEN = json.dumps([{"name": "Bergen", "inhabitants": 291_940}])
_API_AWAY = "External service currently unavailable. Please try again later."
_DATABASE_AWAY = "Database temporarily unavailable. Try again in a moment."
_DATA_AWAY = "All data sources unavailable. Please try again later."


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the script.

    Attributes:
        name: What it is called.
        about: What happens in it.
        steps: The calls, tool by tool.
    """

    name: str
    about: str
    steps: tuple[Step | Probe, ...]


def _api(kind: Kind, begins: str, times: int = 1) -> Ask:
    return Ask(_API, {"endpoint": "weather"}, kind, begins, times)


def _query(kind: Kind, begins: str, times: int = 1, *, of: str = "Oslo") -> Ask:
    statement = "SELECT * FROM cities WHERE name = ?"
    return Ask(_QUERY, {"sql": statement, "parameters": [of]}, kind, begins, times)


def _user(kind: Kind, begins: str, times: int = 1, *, of: str = "7") -> Ask:
    return Ask(_USER, {"user_id": of}, kind, begins, times)


def _data(kind: Kind, begins: str, times: int = 1, *, of: str = "1") -> Ask:
    return Ask(_DATA, {"data_id": of}, kind, begins, times)


def _from(service: str, number: str, **more: object) -> str:
    return json.dumps({"service": service, "id": number, **more})


_WEATHER = json.dumps({"status": "success", "data": {"service": "api", "id": "weather"}})
_NOBODY = json.dumps({"id": "8", "status": "unavailable"}).removesuffix("}")

_HEALTHY = Phase(
    "healthy",
    "everything works",
    (
        Step((_api(Kind.ANSWER, _WEATHER),), {"api": 1}),
        Step((_query(Kind.ANSWER, _OSLO),), {"database": 1}),
        Step((_user(Kind.ANSWER, _from("users", "7")),), {"users": 1}),
        Step((_data(Kind.ANSWER, _from("primary", "1")),), {"primary": 1}),
    ),
)

_FAILING = Phase(
    "failing",
    "one dependency after the other breaks, until its breaker opens",
    (
        Step((_api(Kind.ERROR, "API call failed: 503", 5),), {"api": 5}, {"external_api": "open"}, ("api",)),
        Step(
            (_query(Kind.ERROR, "Query failed: file is not a database", 10),),
            {"database": 10},
            {"database": "open"},
            ("database",),
        ),
        Step((_user(Kind.ERROR, "User lookup failed: 503", 5),), {"users": 5}, {"users": "open"}, ("users",)),
        Step(
            (_data(Kind.ANSWER, _from("secondary", "1"), 5),),
            {"primary": 5, "secondary": 5},
            {"primary": "open"},
            ("primary",),
        ),
        Step(
            (_data(Kind.CACHED, _from("secondary", "1"), 5),),
            {"secondary": 5},
            {"secondary": "open"},
            ("secondary",),
        ),
    ),
)

OPEN = Phase(
    "open",
    "nothing reaches what is down",
    (
        Step((_api(Kind.REJECTED, f"{_API_AWAY} Retry in ", 10),)),
        Step((_query(Kind.CACHED, _OSLO, 5), _query(Kind.REJECTED, f"{_DATABASE_AWAY} Retry in ", 5, of="Bergen"))),
        Step((_user(Kind.CACHED, _from("users", "7", from_cache=True), 5), _user(Kind.STAND_IN, _NOBODY, 5, of="8"))),
        Step((_data(Kind.CACHED, _from("secondary", "1"), 5), _data(Kind.REJECTED, _DATA_AWAY, 5, of="2"))),
    ),
)

RECOVERING = Phase(
    "recovering",
    "everything works again; one probe each is let through, and kept on its way while others come",
    (
        Probe({"api": _api(Kind.ANSWER, _WEATHER)}, (_api(Kind.REJECTED, _API_AWAY, 5),)),
        Probe(
            {"database": _query(Kind.ANSWER, _BERGEN, of="Bergen")},
            (_query(Kind.CACHED, _OSLO, 3), _query(Kind.REJECTED, _DATABASE_AWAY, 2, of="Bergen")),
        ),
        Probe(
            {"users": _user(Kind.ANSWER, _from("users", "8"), of="8")},
            (_user(Kind.CACHED, _from("users", "7", from_cache=True), 5),),
        ),
        Probe(
            {
                "primary": _data(Kind.ANSWER, _from("primary", "1")),
                "secondary": _data(Kind.ANSWER, _from("secondary", "2"), of="2"),
            },
            (_data(Kind.CACHED, _from("secondary", "1"), 5),),
        ),
    ),
)

_RECOVERED = Phase(
    "healthy again",
    "every call is let through",
    (
        Step((_api(Kind.ANSWER, _WEATHER, 5),), {"api": 5}),
        Step((_query(Kind.ANSWER, _OSLO, 5),), {"database": 5}),
        Step((_user(Kind.ANSWER, _from("users", "7"), 5),), {"users": 5}),
        Step((_data(Kind.ANSWER, _from("primary", "2"), 5, of="2"),), {"primary": 5}),
    ),
)

PHASES = (_HEALTHY, _FAILING, OPEN, RECOVERING, _RECOVERED)
