"""What this process knows about its fleet."""

from typing import Any

from recloser import BreakerRegistry

HALF_OPEN = "half_open"


def read_fleet(registry: BreakerRegistry) -> dict[str, Any] | None:
    """Return what the dashboard sends about a registry's fleet, None if it has none.

    The fields are `connected`, `problem` (why it isn't connected, or None), `worker` (this process), and `probes`: by
    breaker the worker that runs the probe. A process does not know whether other processes are unreachable.
    """
    fleet = registry.fleet
    if fleet is None:
        return None
    status = fleet.status()
    trying = {name: known["author"] for name, known in status["breakers"].items() if known["state"] == HALF_OPEN}
    about = {key: status[key] for key in ("connected", "problem", "worker")}
    return {**about, "probes": {name: worker for name, worker in trying.items() if worker}}
