"""Structs and rules: nothing here awaits, opens, logs or reads a clock."""
