"""Which projects there are, and their matrices: one module per source, each yielding one project at a time."""
