"""Demos for a clone, which are no part of the wheel; `python3 dev.py demo --fleet 4` starts one."""
