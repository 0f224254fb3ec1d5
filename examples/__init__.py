"""Applications that show recloser at work; run one from the root of a clone: `python -m examples.mcp_server`."""
