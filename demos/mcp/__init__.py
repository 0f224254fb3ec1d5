"""`python -m demos.mcp`: an MCP server, a client that asks all its tools, and dependencies that fail and recover.

The server is `examples.mcp_server`, a process of its own that is asked over stdio. What it
depends on belongs to the demo, which makes it fail, repairs it, and counts what reaches it. Each step of the script
says what must come of it; the demo prints what did, and fails if that is something else.
"""
