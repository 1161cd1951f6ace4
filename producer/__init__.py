"""Decides which projects are due today and sends them to the workers; the operator's desk for the two queues."""
