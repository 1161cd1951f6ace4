# An existing VPC, or a small one: two public subnets without any way in. No NAT gateway, which would cost more in a
# month without work than the workers do in a month of daily runs.

locals {
  own_vpc    = var.vpc_id == null
  vpc_id     = local.own_vpc ? aws_vpc.own[0].id : var.vpc_id
  subnet_ids = local.own_vpc ? aws_subnet.public[*].id : var.subnet_ids
  public_ip  = local.own_vpc || var.assign_public_ip
  zones      = 2
}

data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394: the first two are taken once; the subnets stay where they are when zones come
  state            = "available"
  exclude_zone_ids = ["apne1-az3", "usw1-az2"] # where there is no Fargate (ECS developer guide, "Supported Regions")

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "own" {
  # checkov:skip=CKV2_AWS_11: flow logs of tasks that nobody can reach and that talk to public portals cost and tell little
  count = local.own_vpc ? 1 : 0

  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = local.name }
}

# Whoever names no security group gets one that lets nothing through.
resource "aws_default_security_group" "closed" {
  count  = local.own_vpc ? 1 : 0
  vpc_id = aws_vpc.own[0].id
}

resource "aws_internet_gateway" "own" {
  count  = local.own_vpc ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = local.name }
}

resource "aws_subnet" "public" {
  count = local.own_vpc ? local.zones : 0

  vpc_id            = aws_vpc.own[0].id
  availability_zone = data.aws_availability_zones.available.names[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 1, count.index)
  tags              = { Name = "${local.name}-${count.index}" }

  lifecycle {
    ignore_changes = [availability_zone]
  }
}

resource "aws_route_table" "public" {
  count  = local.own_vpc ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = local.name }
}

resource "aws_route" "internet" {
  count = local.own_vpc ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.own[0].id
}

resource "aws_route_table_association" "public" {
  count = local.own_vpc ? local.zones : 0

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

# Matrices and figures do not leave AWS's network; costs nothing.
resource "aws_vpc_endpoint" "s3" {
  count = local.own_vpc ? 1 : 0

  vpc_id            = aws_vpc.own[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public[0].id]
  tags              = { Name = "${local.name}-s3" }
}

resource "aws_security_group" "tasks" {
  name        = "${local.name}-tasks"
  description = "Producer and workers: nothing comes in, TLS goes out"
  vpc_id      = local.vpc_id
  tags        = { Name = "${local.name}-tasks" }
}

# Portals, their storage and AWS have no fixed addresses. (The VPC's own DNS is not subject to security groups.)
resource "aws_vpc_security_group_egress_rule" "tls" {
  security_group_id = aws_security_group.tasks.id
  description       = "TLS to AWS, portals and their storage"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}
