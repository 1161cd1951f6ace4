# What a deployment decides. Everything has a default but the tag of the images.

variable "name" {
  description = "What the names of all resources begin with."
  type        = string
  default     = "dpss"

  validation {
    # With environment, account and region it has to fit into the 63 characters of a bucket's name; ECR takes no --.
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.name)) && length(var.name) <= 14
    error_message = "It is at most 14 of a-z and 0-9, beginning with a letter, with single - between them."
  }
}

variable "environ" {
  description = "The portal's deployment whose projects are summarised (DPSS_ENVIRON); part of every name."
  type        = string
  default     = "dev"

  validation {
    condition     = contains(["dev", "integration", "staging", "prod"], var.environ)
    error_message = "It is dev, integration, staging or prod."
  }
}

variable "tags" {
  description = "Tags of all resources, beside Project and Environment."
  type        = map(string)
  default     = {}
}

# Network

variable "vpc_id" {
  description = "An existing VPC for the tasks; null makes a small one of its own."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id == null || can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "It is the id of a VPC, like vpc-0a1b2c3d, or null."
  }
}

variable "subnet_ids" {
  description = "Subnets of the existing VPC, with a way to the internet (portals) and to AWS; none with a VPC of its own."
  type        = list(string)
  default     = []

  validation {
    condition     = (var.vpc_id == null) == (length(var.subnet_ids) == 0)
    error_message = "vpc_id and subnet_ids belong together: both, or neither."
  }
}

variable "assign_public_ip" {
  description = "Whether tasks in the existing VPC need a public address (subnets without NAT); in a VPC of its own they have one."
  type        = bool
  default     = false
}

variable "vpc_cidr" {
  description = "Addresses of the VPC that is made where none is given, /16 to /26."
  type        = string
  default     = "10.42.0.0/22"

  validation {
    condition     = can(cidrsubnets(var.vpc_cidr, 1, 1)) && contains(range(16, 27), try(tonumber(split("/", var.vpc_cidr)[1]), 0))
    error_message = "It is a block of IPv4 addresses of /16 to /26, like 10.42.0.0/22."
  }
}

# Storage

variable "matrix_bucket" {
  description = "The existing bucket of canned matrices and of the blacklist; null makes one."
  type        = string
  default     = null

  validation {
    condition     = var.matrix_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.matrix_bucket))
    error_message = "It is the name of a bucket, without s3:// and without a path, or null."
  }
}

variable "matrix_prefix" {
  description = "Where canned matrices lie in the matrix bucket (DPSS_MATRIX_PREFIX)."
  type        = string
  default     = "project-assets/project-matrices/"

  validation {
    condition     = can(regex("^([^/*?]+/)+$", var.matrix_prefix)) # an empty setting would mean the default
    error_message = "It is a folder or more, ends with a slash and does not begin with one, without * and ?."
  }
}

variable "blacklist_key" {
  description = "The object in the matrix bucket that lists the projects to leave out (DPSS_BLACKLIST_KEY)."
  type        = string
  default     = "blacklist"

  validation {
    condition     = can(regex("^[^/*?].*$", var.blacklist_key))
    error_message = "It is the key of an object, which does not begin with a slash."
  }
}

variable "mirror_buckets" {
  description = "Public buckets in which a portal mirrors its matrices; workers may read them."
  type        = list(string)
  default     = ["humancellatlas"]

  validation {
    condition     = alltrue([for bucket in var.mirror_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "They are names of buckets, without s3:// and without a path."
  }
}

variable "figure_bucket" {
  description = "Name of the bucket that is made for the figures; null names it after deployment, account and region."
  type        = string
  default     = null

  validation {
    condition     = var.figure_bucket == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.figure_bucket))
    error_message = "It is the name of a bucket, without s3:// and without a path, or null."
  }
}

variable "figure_prefix" {
  description = "Where figures are published in the figure bucket (DPSS_FIGURE_PREFIX)."
  type        = string
  default     = "project-assets/project-stats/"

  validation {
    condition     = can(regex("^([^/*?]+/)+$", var.figure_prefix)) # an empty setting would mean the default
    error_message = "It is a folder or more, ends with a slash and does not begin with one, without * and ?."
  }
}

variable "old_versions_days" {
  description = "Days that replaced or deleted objects are kept as old versions."
  type        = number
  default     = 30

  validation {
    condition     = var.old_versions_days >= 1
    error_message = "It is at least a day."
  }
}

variable "delete_with_contents" {
  description = "Whether terraform destroy may delete buckets and image repositories that are not empty."
  type        = bool
  default     = false
}

# Queues

variable "visibility_seconds" {
  description = "Lease on a message, renewed while work goes on (DPSS_VISIBILITY_SECONDS, and the work queue's default)."
  type        = number
  default     = 120

  validation {
    condition     = var.visibility_seconds >= 30 && var.visibility_seconds <= 43200
    error_message = "It is 30 s to 12 h."
  }
}

variable "max_receive_count" {
  description = "Attempts at a message before it is a dead letter; releases by workers that are stopped count among them."
  type        = number
  default     = 8

  validation {
    condition     = var.max_receive_count >= 3 && var.max_receive_count <= 1000
    error_message = "It is 3 (room for releases) to 1000."
  }
}

# Images

variable "image_tag" {
  description = "Tag of both images. Tags are immutable: a new build has a new one."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "It is a tag like 1.2.0 or a commit, and not latest, which says nothing."
  }
}

variable "cpu_architecture" {
  description = "What the images are built for."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "It is X86_64 or ARM64."
  }
}

# The daily run

variable "source_name" {
  description = "Where the daily run lists projects (DPSS_SOURCE)."
  type        = string
  default     = "fresh"

  validation {
    condition     = contains(["fresh", "cellxgene", "canned"], var.source_name)
    error_message = "It is fresh, cellxgene or canned."
  }
}

variable "blacklist" {
  description = "Whether the daily run leaves out the projects on the blacklist (DPSS_BLACKLIST)."
  type        = bool
  default     = true
}

variable "portal_url" {
  description = "Base address of the portal's service (DPSS_PORTAL_URL); null is the one that belongs to source and environment."
  type        = string
  default     = null

  validation {
    condition     = var.portal_url == null || can(regex("^https://[^/?#:@]+(:443)?(/[^?#]*)?$", var.portal_url))
    error_message = "It is an https:// address without a query: the tasks reach port 443 only."
  }
}

variable "allowed_hosts" {
  description = "Hosts that https:// matrices may come from (DPSS_ALLOWED_HOSTS); empty is the portals' and their storage."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for host in var.allowed_hosts : can(regex("^\\.?([a-z0-9-]+\\.)+[a-z][a-z0-9-]*$", host))])
    error_message = "They are names of hosts, like data.example.org, or .example.org with its subdomains."
  }
}

variable "schedule" {
  description = "When the daily run starts, as an EventBridge Scheduler expression: daily or more often (alarm no-run)."
  type        = string
  default     = "cron(0 3 * * ? *)"

  validation {
    condition     = can(regex("^(cron|rate)\\(.+\\)$", var.schedule))
    error_message = "It is cron(…) or rate(…)."
  }
}

variable "index_schedule" {
  description = "When the index of all projects is written once more, for the workers to be done with the daily run by then."
  type        = string
  default     = "cron(0 9 * * ? *)"

  validation {
    condition     = can(regex("^(cron|rate)\\(.+\\)$", var.index_schedule))
    error_message = "It is cron(…) or rate(…)."
  }
}

variable "schedule_enabled" {
  description = "Whether both schedules are on; without them, projects are sent by hand."
  type        = bool
  default     = true
}

# The worker

variable "worker_cpu" {
  description = "CPU units of a worker (1024 are one vCPU)."
  type        = number
  default     = 2048

  validation {
    condition     = contains([1024, 2048, 4096], var.worker_cpu)
    error_message = "It is 1024, 2048 or 4096."
  }
}

variable "worker_memory" {
  description = "Memory of a worker in MiB. One slot needs 1.4 GiB at 1.3 million cells."
  type        = number
  default     = 4096

  validation {
    condition     = var.worker_memory >= 2 * var.worker_cpu && var.worker_memory <= min(8 * var.worker_cpu, 30720) && var.worker_memory % 1024 == 0
    error_message = "It is whole GiB, 2 to 8 for each vCPU, 30 at the most (Fargate)."
  }
}

variable "worker_storage" {
  description = "Ephemeral storage of a worker in GiB, the image counted in. A matrix needs about three times its file."
  type        = number
  default     = 64

  validation {
    condition     = var.worker_storage >= 21 && var.worker_storage <= 200
    error_message = "It is 21 to 200 (Fargate)."
  }
}

variable "worker_slots" {
  description = "Projects in hand at once in one worker (DPSS_WORKER_SLOTS)."
  type        = number
  default     = 1

  validation {
    condition     = var.worker_slots >= 1 && var.worker_slots <= 64
    error_message = "It is 1 to 64."
  }
}

variable "worker_spot_percent" {
  description = "Share of the workers on Fargate Spot, in percent. An interrupted worker releases its message within two minutes."
  type        = number
  default     = 80

  validation {
    condition     = var.worker_spot_percent >= 0 && var.worker_spot_percent <= 100
    error_message = "It is 0 to 100."
  }
}

variable "worker_on_demand_base" {
  description = "Workers that are on demand before the share on Spot counts, so that something goes on when Spot has none."
  type        = number
  default     = 1

  validation {
    condition     = var.worker_on_demand_base >= 0
    error_message = "It is 0 or more."
  }
}

variable "job_timeout_seconds" {
  description = "Time limit of one project (DPSS_JOB_TIMEOUT_SECONDS)."
  type        = number
  default     = 21600

  validation {
    condition     = var.job_timeout_seconds >= 60 && var.job_timeout_seconds <= 43000
    error_message = "It is a minute to just below 12 h, the longest that SQS hides a message."
  }
}

# Scaling; infra/simulation reads these defaults, and `make test-infra` holds it to what Terraform plans.

variable "worker_min_tasks" {
  description = "Workers that are kept when there is nothing to do."
  type        = number
  default     = 0

  validation {
    condition     = var.worker_min_tasks >= 0
    error_message = "It is 0 or more."
  }
}

variable "worker_max_tasks" {
  description = "Workers at the most. Mind the account's quota of Fargate vCPUs, on demand and Spot."
  type        = number
  default     = 100

  validation {
    condition     = var.worker_max_tasks >= max(1, var.worker_min_tasks) && var.worker_max_tasks <= 5000
    error_message = "It is at least 1 and worker_min_tasks, at most 5000 (tasks of an ECS service)."
  }

  # Each task has an address of its own; AWS keeps five in each of the two subnets, and a tenth is left for successors.
  validation {
    condition     = var.vpc_id != null || 1.1 * var.worker_max_tasks <= pow(2, 32 - try(tonumber(split("/", var.vpc_cidr)[1]), 0)) - 10
    error_message = "vpc_cidr has no addresses for so many workers: choose a wider one, like 10.42.0.0/18."
  }
}

variable "acceptable_wait_seconds" {
  description = "How long a message may wait before more workers are wanted."
  type        = number
  default     = 600

  validation {
    condition     = var.acceptable_wait_seconds >= 60
    error_message = "It is at least a minute, the period of SQS's metrics."
  }
}

variable "project_seconds" {
  description = "What a project takes on average, from receipt to deletion of its message."
  type        = number
  default     = 20

  validation {
    condition     = var.project_seconds > 0
    error_message = "It is more than 0."
  }
}

variable "sleep_after_minutes" {
  description = "Minutes with nothing visible and nothing in flight after which no more than worker_min_tasks are kept."
  type        = number
  default     = 5

  validation {
    condition     = var.sleep_after_minutes >= 2 && var.sleep_after_minutes <= 1440
    error_message = "It is 2 to 1440: SQS's counts are approximate, so one look is not enough."
  }
}

variable "scale_out_cooldown_seconds" {
  description = "Pause after more workers were asked for: longer than metrics take to show them."
  type        = number
  default     = 180

  validation {
    condition     = var.scale_out_cooldown_seconds >= 0
    error_message = "It is 0 or more."
  }
}

variable "scale_in_cooldown_seconds" {
  description = "Pause after fewer workers were asked for."
  type        = number
  default     = 60

  validation {
    condition     = var.scale_in_cooldown_seconds >= 0
    error_message = "It is 0 or more."
  }
}

# Looking after it

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_days)
    error_message = "It is one of the numbers of days that CloudWatch Logs knows, like 30 or 365."
  }
}

variable "alarm_emails" {
  description = "Addresses that alarms are sent to; each has to confirm once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "They are e-mail addresses."
  }
}

variable "oldest_message_hours" {
  description = "Age of the oldest message in the work queue, in hours, above which somebody is told."
  type        = number
  default     = 12

  validation {
    condition     = var.oldest_message_hours >= 1 && var.oldest_message_hours <= 96
    error_message = "It is 1 to 96: the queue forgets messages after four days."
  }
}

# The gallery

variable "gallery" {
  description = "Whether the figures are to be seen on the web, by CloudFront."
  type        = bool
  default     = false
}
