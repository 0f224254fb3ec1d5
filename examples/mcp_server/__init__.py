"""An MCP server whose tools use circuit breakers: an API, a database, and data from several sources."""
