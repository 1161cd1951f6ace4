"""What the fleet stands on: AWS, or one machine."""
