"""Static pages: what the project page and the index have in common."""
