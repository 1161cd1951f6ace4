"""The fleet on one machine: embedded SQS and S3, sample projects, and the same processes that the images run."""
