"""An MCP server whose tools stand behind circuit breakers: an API, a database, and data with several sources."""
