"""What breakers do, for those who watch them: `prometheus`, `opentelemetry` and `logging`, one module each."""
