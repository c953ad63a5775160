"""Benches: tables of ours beside a plain baseline and the floor, measured in one run."""
