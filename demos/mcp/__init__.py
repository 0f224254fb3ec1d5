"""`python -m demos.mcp`: an MCP server, a client that calls all its tools, and dependencies that fail and recover.

The server is `examples.mcp_server`, a process of its own that the client talks to over stdio. Its dependencies belong
to the demo, which makes them fail, repairs them, and counts the requests that reach them. Each step of the script
states what it expects; the demo prints what happened, and fails if the two differ.
"""
