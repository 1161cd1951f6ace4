"""The words that the producer and the worker both speak."""

__version__ = "1.0.0"
