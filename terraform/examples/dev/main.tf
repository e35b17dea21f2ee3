# The smallest that is real: one broker in one zone of a network that is there, with the cold tier in a bucket.

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

module "esker" {
  source = "../.."

  name               = "dev"
  cluster_id         = var.cluster_id
  vpc_id             = var.vpc_id
  zones              = { (var.zone_id) = { subnet_id = var.subnet_id, cidr_block = var.cidr_block } }
  route_table_ids    = var.route_table_ids
  client_cidr_blocks = var.client_cidr_blocks

  is_live             = var.is_live
  brokers             = 1
  voters              = 1
  replication_factor  = 1
  min_insync_replicas = 1
  instance_type       = "im4gn.large"

  bucket_name   = var.bucket_name
  binary_url    = var.binary_url
  binary_sha256 = var.binary_sha256

  create_ssm_endpoints = false # the subnet has a way out
  create_load_balancer = false

  settings = { "tier.default.enable" = "true", "log.local.retention.ms" = "3600000" }
}
