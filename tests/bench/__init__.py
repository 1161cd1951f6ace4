"""Measurements, as commands: nothing here runs in ``make test``."""
