"""The Terraform, applied to the embedded server by the real provider, and the simulation that shows its scaling."""
