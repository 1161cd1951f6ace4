"""What the scaling in infra/scaling.tf does with a queue, minute by minute: no emulator scales, so a model shows it."""
