"""Any format in, one thing out: counts by cell, streamed."""
