"""What this process knows of the fleet whose breakers it shows."""

from typing import Any

from recloser import BreakerRegistry

HALF_OPEN = "half_open"


def read_fleet(registry: BreakerRegistry) -> dict[str, Any] | None:
    """Return what is told of a registry's fleet, None if it has none.

    `connected`, `problem` (why not, or None), `worker` (this process), and `probes`: by breaker the worker that makes
    the probe. Of other processes nobody knows whether they are unreachable.
    """
    fleet = registry.fleet
    if fleet is None:
        return None
    status = fleet.status()
    trying = {name: known["author"] for name, known in status["breakers"].items() if known["state"] == HALF_OPEN}
    about = {key: status[key] for key in ("connected", "problem", "worker")}
    return {**about, "probes": {name: worker for name, worker in trying.items() if worker}}
