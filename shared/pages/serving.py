"""What S3 says of a page, and of what it shows, to who asks for it."""

from typing import Final

CONTENT_TYPE: Final = "text/html; charset=utf-8"
CACHE_CONTROL: Final = "max-age=60"
"""Seconds, of figures and tables as of pages: all keep their addresses when they are replaced, and what says nothing
CloudFront keeps for a day (its developer guide, "Use managed cache policies", CachingOptimized)."""
