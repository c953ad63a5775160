"""Histories of a service in virtual time: whatever users, upstream, disk, clock and power do to it.

`world` has the lives of the service and what outlives them, `users` those who ask, `machine` the
steps; `logbook`, `calls` and `laws` say what must hold.
"""
