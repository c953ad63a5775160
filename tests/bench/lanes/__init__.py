"""How lanes adapt, simulated in virtual time: `python -m tests.bench.lanes [seeds]`."""
