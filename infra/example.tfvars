# Copy to terraform.tfvars and change what is not yours. All that is left out has a default: variables.tf.

environ   = "dev"
image_tag = "1.1.0"

# An existing VPC instead of a small one of its own:
# vpc_id     = "vpc-…"
# subnet_ids = ["subnet-…", "subnet-…"]

# Matrices that are in a bucket already:
# source_name   = "canned"
# matrix_bucket = "my-matrices"

# schedule       = "cron(0 3 * * ? *)" # UTC
# index_schedule = "cron(0 9 * * ? *)"

worker_max_tasks    = 50
worker_spot_percent = 80

alarm_emails = ["operator@example.org"]
gallery      = false
