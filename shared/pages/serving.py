"""What S3 says of a page to who asks for it."""

from typing import Final

CONTENT_TYPE: Final = "text/html; charset=utf-8"
CACHE_CONTROL: Final = "max-age=60"
"""Seconds: its address stays when its figures are replaced."""
