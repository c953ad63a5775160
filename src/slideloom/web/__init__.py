"""HTTP: each handler decodes, calls the engine once, and encodes."""
