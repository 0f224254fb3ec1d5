"""Circuit breakers for the libraries that you use, one module each; each needs the extra of the same name."""

__all__: list[str] = []
