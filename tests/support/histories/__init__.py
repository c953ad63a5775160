"""Histories of a service in virtual time: whatever users, upstream, disk, clock and power do to it.

`world` has the lives of the service, `books` what outlives them, `users` those who ask, `machine`
the steps. What must hold is said by `events` (of what is written), `calls` (of what is paid),
`users` and `sight` (of what is answered) and `laws` (between any two steps, and at the end).
"""
