# From an empty account: ids of networks and subnets are not known at plan, as in life.

mock_provider "aws" {
  mock_data "aws_ec2_instance_type" {
    defaults = {
      instance_storage_supported = true
      hypervisor                 = "nitro"
      bare_metal                 = false
      supported_architectures    = ["arm64"]
      instance_disks             = [{ count = 1, size = 1875, type = "ssd" }]
    }
  }
  mock_data "aws_region" { defaults = { region = "eu-central-1" } }
  mock_data "aws_partition" { defaults = { partition = "aws" } }
}

variables {
  cluster_id    = "MkU3OEVBNTcwNTJENDM2Qg"
  bucket_name   = "prod-cold"
  binary_url    = "s3://releases/esker/0.1.0/esker-aarch64"
  binary_sha256 = "0123456789012345678901234567890123456789012345678901234567890123"
}

run "an_empty_account_can_be_planned_in_one_go" {
  command = plan

  assert {
    condition     = [for id in ["1", "2", "3"] : output.brokers[id].address] == ["10.42.0.10", "10.42.1.10", "10.42.2.10"]
    error_message = "addresses are not known before the network is there"
  }
  assert {
    condition     = output.certificate_hosts["1"] == ["broker-1.prod.internal", "10.42.0.10", "bootstrap.prod.internal"]
    error_message = "certificates could not be made before the brokers"
  }
}

run "two_zones_are_refused" {
  command = plan
  variables {
    zone_ids = ["euc1-az1", "euc1-az2", "euc1-az1"]
  }
  expect_failures = [var.zone_ids]
}

run "a_binary_from_the_internet_is_refused_where_there_is_none" {
  command = plan
  variables {
    binary_url = "https://example.com/esker"
  }
  expect_failures = [var.binary_url]
}
