"""Takes messages, builds the figures and publishes them."""
