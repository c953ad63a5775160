"""Builders and stand-ins for the tests."""
