# From an empty account to a three-zone cluster: its own network without any way to the internet, three brokers or more.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr_block
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

resource "aws_subnet" "broker" {
  for_each             = { for index, zone in var.zone_ids : zone => index }
  vpc_id               = aws_vpc.this.id
  availability_zone_id = each.key
  cidr_block           = cidrsubnet(var.cidr_block, 8, each.value)
  tags                 = { Name = "${var.name}-${each.key}" }
}

resource "aws_route_table" "brokers" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-brokers" }
}

resource "aws_route_table_association" "broker" {
  for_each       = aws_subnet.broker
  subnet_id      = each.value.id
  route_table_id = aws_route_table.brokers.id
}

module "esker" {
  source = "../.."

  name       = var.name
  cluster_id = var.cluster_id
  vpc_id     = aws_vpc.this.id
  zones = { for zone, subnet in aws_subnet.broker : zone => {
    subnet_id  = subnet.id
    cidr_block = subnet.cidr_block
  } }
  route_table_ids    = [aws_route_table.brokers.id]
  client_cidr_blocks = var.client_cidr_blocks

  monitoring_cidr_blocks = var.monitoring_cidr_blocks

  is_live       = var.is_live
  brokers       = var.brokers
  drained_to    = var.drained_to
  instance_type = var.instance_type
  bucket_name   = var.bucket_name
  create_bucket = var.create_bucket
  binary_url    = var.binary_url
  binary_sha256 = var.binary_sha256

  settings = {
    "tier.default.enable"    = "true"
    "log.local.retention.ms" = "14400000" # four hours hot, then cold alone
    "log.retention.ms"       = "2592000000"
  }
}
