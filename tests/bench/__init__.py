"""Measurements, as commands, and the tests of what they measure with."""
