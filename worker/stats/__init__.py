"""Arrays in, arrays out: no files, no plots, no AWS."""
