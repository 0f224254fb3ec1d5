"""A store in Redis whose time limits and scripts a test changes while it is connected."""

from collections.abc import Mapping

from recloser.fleet._store.scripts import LuaScript, lua_scripts
from recloser.fleet.store import RedisStore


class AdjustableStore(RedisStore):
    def time_out_after(self, seconds: float) -> None:
        self._endpoint.op_timeout_seconds = self._endpoint.connect_timeout_seconds = seconds

    def run(self, scripts: Mapping[type, LuaScript]) -> None:
        """Uses these scripts for their operations."""
        self._scripts = {**lua_scripts(), **scripts}
