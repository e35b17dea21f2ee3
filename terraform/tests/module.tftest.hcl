# Plans against a stand-in for the provider (tests/provider): nothing here reaches an account.

mock_provider "aws" {
  override_during = plan

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
  mock_data "aws_caller_identity" { defaults = { account_id = "123456789012" } }
  mock_data "aws_ssm_parameter" { defaults = { value = "ami-0123456789abcdef0" } }
  mock_data "aws_prefix_list" { defaults = { id = "pl-6ea54007" } }
}

override_data {
  target = data.aws_subnet.zone["euc1-az1"]
  values = { availability_zone_id = "euc1-az1", cidr_block = "10.0.1.0/24", vpc_id = "vpc-0a" }
}
override_data {
  target = data.aws_subnet.zone["euc1-az2"]
  values = { availability_zone_id = "euc1-az2", cidr_block = "10.0.2.0/24", vpc_id = "vpc-0a" }
}
override_data {
  target = data.aws_subnet.zone["euc1-az3"]
  values = { availability_zone_id = "euc1-az3", cidr_block = "10.0.3.0/24", vpc_id = "vpc-0a" }
}

variables {
  name       = "prod"
  cluster_id = "MkU3OEVBNTcwNTJENDM2Qg"
  vpc_id     = "vpc-0a"
  zones = {
    "euc1-az1" = { subnet_id = "subnet-01", cidr_block = "10.0.1.0/24" }
    "euc1-az2" = { subnet_id = "subnet-02", cidr_block = "10.0.2.0/24" }
    "euc1-az3" = { subnet_id = "subnet-03", cidr_block = "10.0.3.0/24" }
  }
  route_table_ids    = ["rtb-01"]
  client_cidr_blocks = ["10.0.0.0/16"]

  monitoring_cidr_blocks = ["10.0.9.0/24"]

  bucket_name   = "prod-cold"
  binary_url    = "s3://releases/esker/0.1.0/esker-aarch64"
  binary_sha256 = "0123456789012345678901234567890123456789012345678901234567890123"
  kms_key_arn   = "arn:aws:kms:eu-central-1:123456789012:key/k"
  brokers       = 5
}

run "brokers_stand_in_all_zones_with_addresses_of_their_own" {
  command = plan

  assert {
    condition     = [for id in ["1", "2", "3", "4", "5"] : output.brokers[id].zone] == ["euc1-az1", "euc1-az2", "euc1-az3", "euc1-az1", "euc1-az2"]
    error_message = "brokers are not dealt over the zones"
  }
  assert {
    condition     = [for id in ["1", "2", "4"] : output.brokers[id].address] == ["10.0.1.10", "10.0.2.10", "10.0.1.11"]
    error_message = "addresses are not those of the zones' blocks"
  }
  assert {
    condition     = length(distinct([for broker in output.brokers : broker.address])) == 5 && length(aws_route53_record.broker) == 5
    error_message = "a broker has no address or name of its own"
  }
  assert {
    condition     = aws_instance.broker["4"].placement_partition_number != aws_instance.broker["1"].placement_partition_number
    error_message = "two brokers of a zone share a partition"
  }
  assert {
    condition     = aws_placement_group.brokers.partition_count == 7
    error_message = "the placement group is not the one of another number of brokers"
  }
  assert {
    condition     = alltrue([for broker in aws_instance.broker : broker.metadata_options[0].http_tokens == "required" && broker.root_block_device[0].encrypted])
    error_message = "IMDSv2 or an encrypted root volume is not asked for"
  }
  assert {
    condition     = alltrue([for id, broker in aws_instance.broker : length(broker.user_data_base64) < 16384])
    error_message = "user data is larger than the service takes (16 KiB)"
  }
  assert {
    condition     = output.bootstrap_servers == "bootstrap.prod.internal:9092" && strcontains(output.client_properties, "security.protocol=SASL_SSL")
    error_message = "clients are not told how to connect"
  }
}

# The group of a cluster that runs can't be made anew, and no broker in it may move.
run "fewer_brokers_stand_in_the_same_placement_group" {
  command = plan
  variables {
    brokers = 3
  }

  assert {
    condition     = aws_placement_group.brokers.partition_count == 7 && [for id in ["1", "2", "3"] : aws_instance.broker[id].placement_partition_number] == [1, 1, 1]
    error_message = "growing from three brokers to five would make the placement group anew"
  }
}

run "a_broker_may_do_exactly_what_it_needs" {
  command = plan

  assert {
    condition = jsondecode(output.rendered.broker_policy["2"]) == {
      Version = "2012-10-17"
      Statement = [
        { Sid = "Objects", Effect = "Allow", Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"], Resource = "arn:aws:s3:::prod-cold/esker/*" },
        { Sid = "List", Effect = "Allow", Action = ["s3:ListBucket"], Resource = "arn:aws:s3:::prod-cold", Condition = { StringLike = { "s3:prefix" = "esker/*" } } },
        { Sid = "Key", Effect = "Allow", Action = ["kms:GenerateDataKey", "kms:Decrypt"], Resource = "arn:aws:kms:eu-central-1:123456789012:key/k", Condition = { StringEquals = { "kms:ViaService" = ["s3.eu-central-1.amazonaws.com", "ssm.eu-central-1.amazonaws.com"] } } },
        { Sid = "Binary", Effect = "Allow", Action = ["s3:GetObject"], Resource = "arn:aws:s3:::releases/esker/0.1.0/esker-aarch64" },
        { Sid = "Session", Effect = "Allow", Action = ["ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"], Resource = "*" },
        { Sid = "Secrets", Effect = "Allow", Action = ["ssm:GetParameter"], Resource = [
          "arn:aws:ssm:eu-central-1:123456789012:parameter/esker/prod/ca.crt",
          "arn:aws:ssm:eu-central-1:123456789012:parameter/esker/prod/bootstrap-user",
          "arn:aws:ssm:eu-central-1:123456789012:parameter/esker/prod/node-2.crt",
          "arn:aws:ssm:eu-central-1:123456789012:parameter/esker/prod/node-2.key",
        ] },
      ]
    }
    error_message = "the policy is not the one that was reviewed: ${output.rendered.broker_policy["2"]}"
  }
  assert {
    condition     = alltrue([for id, role in aws_iam_role_policy.broker : role.policy == output.rendered.broker_policy[id]])
    error_message = "what is applied is not what is shown"
  }
}

run "the_bucket_is_closed_encrypted_and_never_expires_data" {
  command = plan

  assert {
    condition     = aws_s3_bucket_public_access_block.cold[0].block_public_acls && aws_s3_bucket_public_access_block.cold[0].block_public_policy && aws_s3_bucket_public_access_block.cold[0].ignore_public_acls && aws_s3_bucket_public_access_block.cold[0].restrict_public_buckets
    error_message = "public access is not blocked"
  }
  assert {
    condition = alltrue([for rule in aws_s3_bucket_server_side_encryption_configuration.cold[0].rule :
    rule.bucket_key_enabled && rule.apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" && rule.apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn])
    error_message = "not encrypted with our key and a bucket key"
  }
  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.cold[0].rule) == 1 && aws_s3_bucket_lifecycle_configuration.cold[0].rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 2
    error_message = "parts of uploads that never ended stay for ever"
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.cold[0].rule : length(rule.expiration) == 0 && length(rule.transition) == 0 && length(rule.noncurrent_version_expiration) == 0])
    error_message = "a rule of the bucket would remove or move data"
  }
  assert {
    condition = [for statement in jsondecode(output.rendered.bucket_policy).Statement : [statement.Sid, statement.Effect, jsonencode(statement.Condition)]] == [
      ["TlsOnly", "Deny", "{\"Bool\":{\"aws:SecureTransport\":\"false\"}}"],
      ["ModernTlsOnly", "Deny", "{\"NumericLessThan\":{\"s3:TlsVersion\":\"1.2\"}}"],
      ["OurKeyOnly", "Deny", "{\"StringNotEqualsIfExists\":{\"s3:x-amz-server-side-encryption-aws-kms-key-id\":\"arn:aws:kms:eu-central-1:123456789012:key/k\"}}"],
    ]
    error_message = "the bucket's policy is not the one that was reviewed"
  }
  assert {
    condition     = aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3[0].service_name == "com.amazonaws.eu-central-1.s3"
    error_message = "no gateway endpoint for S3"
  }
}

run "the_network_is_closed_but_for_named_ports" {
  command = plan

  assert {
    condition     = { for name, rule in output.rendered.ingress : name => "${rule.group} ${rule.protocol} ${rule.port} ${coalesce(rule.peer, rule.cidr)}" } == { "peers" = "broker udp 9093 broker", "bootstrap" = "broker tcp 9092 bootstrap", "clients 10.0.0.0/16" = "broker tcp 9092 10.0.0.0/16", "bootstrap 10.0.0.0/16" = "bootstrap tcp 9092 10.0.0.0/16", "monitoring 10.0.9.0/24" = "broker tcp 9645 10.0.9.0/24" }
    error_message = "ingress is not the one that was reviewed"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.from_port == rule.to_port && rule.from_port != 22])
    error_message = "a rule is wider than one port, or open to all, or SSH"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.this : rule.ip_protocol != "-1"])
    error_message = "egress to everything"
  }
}

run "brokers_reach_systems_manager_without_the_internet" {
  command = plan
  override_resource {
    target          = aws_security_group.broker
    values          = { id = "sg-brokers" }
    override_during = plan
  }

  assert {
    condition     = toset([for endpoint in aws_vpc_endpoint.ssm : endpoint.service_name]) == toset(["com.amazonaws.eu-central-1.ssm", "com.amazonaws.eu-central-1.ssmmessages"])
    error_message = "not the two endpoints that the agent needs"
  }
  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.ssm : endpoint.vpc_endpoint_type == "Interface" && endpoint.private_dns_enabled && endpoint.subnet_ids == toset(["subnet-01", "subnet-02", "subnet-03"])])
    error_message = "an endpoint is not in every zone, or not under the service's own name"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints[0].to_port == 443 && aws_vpc_security_group_ingress_rule.endpoints[0].referenced_security_group_id == "sg-brokers"
    error_message = "others than brokers reach the endpoints"
  }
}

run "the_load_balancer_is_internal_and_leaves_tls_to_the_brokers" {
  command = plan

  assert {
    condition     = aws_lb.bootstrap[0].internal && aws_lb.bootstrap[0].load_balancer_type == "network" && aws_lb.bootstrap[0].subnets == toset(["subnet-01", "subnet-02", "subnet-03"])
    error_message = "the load balancer is public, or not in every zone"
  }
  assert {
    condition     = aws_lb_listener.bootstrap[0].protocol == "TCP" && aws_lb_listener.bootstrap[0].port == 9092 && aws_lb_target_group.bootstrap[0].port == 9092 && aws_lb_target_group.bootstrap[0].target_type == "ip"
    error_message = "not the clients' port is handed on as it comes"
  }
  assert {
    condition     = { for id, target in aws_lb_target_group_attachment.bootstrap : id => target.target_id } == { for id, broker in output.brokers : id => broker.address }
    error_message = "not every broker is a target"
  }
}

run "without_load_balancer_and_endpoints_there_are_none" {
  command = plan
  variables {
    create_load_balancer = false
    create_ssm_endpoints = false
  }

  assert {
    condition     = length(aws_lb.bootstrap) + length(aws_lb_listener.bootstrap) + length(aws_lb_target_group_attachment.bootstrap) + length(aws_vpc_endpoint.ssm) + length(aws_security_group.endpoints) == 0
    error_message = "something is made that was not asked for"
  }
  assert {
    condition     = output.bootstrap_servers == "broker-1.prod.internal:9092,broker-2.prod.internal:9092,broker-3.prod.internal:9092,broker-4.prod.internal:9092,broker-5.prod.internal:9092"
    error_message = "clients do not begin with the brokers themselves"
  }
}

run "user_data_holds_what_a_broker_needs_and_no_secret" {
  command = plan

  assert {
    condition     = alltrue([for text in values(output.rendered.user_data) : startswith(text, "#cloud-config") && can(yamldecode(text))])
    error_message = "user data is no cloud-config"
  }
  assert {
    condition = alltrue([for line in [
      "node.id=2", "cluster.id=MkU3OEVBNTcwNTJENDM2Qg", "broker.rack=euc1-az2", "listeners=SASL_SSL://0.0.0.0:9092",
      "advertised.listeners=SASL_SSL://broker-2.prod.internal:9092", "peer.advertised.listener=broker-2.prod.internal:9093",
      "controller.quorum.voters=1@broker-1.prod.internal:9093,2@broker-2.prod.internal:9093,3@broker-3.prod.internal:9093",
      "tier.store.url=s3://prod-cold/esker", "min.insync.replicas=2",
      # The first is what `esker health` asks on the machine, and with it every procedure; the second what monitoring may ask.
      "admin.listeners=http://127.0.0.1:9644,https://0.0.0.0:9645",
    ] : contains(split("\n", one([for file in yamldecode(output.rendered.user_data["2"]).write_files : file.content if file.path == "/etc/esker/esker.properties"])), line)])
    error_message = "a property of broker 2 is missing"
  }
  assert {
    condition     = one([for file in yamldecode(output.rendered.user_data["1"]).write_files : file.content if file.path == "/usr/local/lib/esker/esker-disks"]) == file("../deploy/host/esker-disks")
    error_message = "the disk script that is installed is not the tested one"
  }
  assert {
    condition = alltrue([for path, source in {
      "/etc/sysctl.d/90-esker.conf"             = "90-esker.conf"
      "/etc/systemd/system/esker.service"       = "esker.service"
      "/etc/systemd/system/esker-disks.service" = "esker-disks.service"
    } : one([for file in yamldecode(output.rendered.user_data["1"]).write_files : file.content if file.path == path]) == file("../deploy/host/${source}")])
    error_message = "the sysctls (UDP buffers) or a unit that is installed is not the tested one"
  }
  assert {
    condition     = slice([for command in yamldecode(output.rendered.user_data["1"]).runcmd : join(" ", command)], 2, 6) == ["systemctl daemon-reload", "/usr/local/lib/esker/esker-fetch all", "systemctl enable --now esker-disks.service", "systemctl enable --now esker.service"] && join(" ", yamldecode(output.rendered.user_data["1"]).runcmd[0]) == "sysctl --system"
    error_message = "sysctls, secrets, disks and the broker do not come in that order"
  }
  assert {
    condition     = !strcontains(output.rendered.user_data["1"], "PRIVATE KEY") && !strcontains(output.rendered.user_data["1"], "password")
    error_message = "there is a secret in user data"
  }
}

# Bad input: each is refused by its variable or condition, at plan, with nothing changed.

run "an_instance_type_without_nvme_is_refused" {
  command = plan
  variables {
    instance_type = "m7g.xlarge"
  }
  override_data {
    target = data.aws_ec2_instance_type.broker
    values = { instance_storage_supported = false, hypervisor = "nitro", bare_metal = false, supported_architectures = ["arm64"], instance_disks = [] }
  }
  expect_failures = [data.aws_ec2_instance_type.broker]
}

run "a_type_with_spinning_disks_is_refused" {
  command = plan
  variables {
    instance_type = "d3.xlarge"
  }
  override_data {
    target = data.aws_ec2_instance_type.broker
    values = { instance_storage_supported = true, hypervisor = "nitro", bare_metal = false, supported_architectures = ["x86_64"], instance_disks = [{ count = 3, size = 1980, type = "hdd" }] }
  }
  expect_failures = [data.aws_ec2_instance_type.broker]
}

run "two_zones_for_three_replicas_are_refused" {
  command = plan
  variables {
    zones = {
      "euc1-az1" = { subnet_id = "subnet-01", cidr_block = "10.0.1.0/24" }
      "euc1-az2" = { subnet_id = "subnet-02", cidr_block = "10.0.2.0/24" }
    }
  }
  expect_failures = [var.zones]
}

run "a_subnet_of_another_zone_is_refused" {
  command = plan
  override_data {
    target = data.aws_subnet.zone["euc1-az2"]
    values = { availability_zone_id = "euc1-az1", cidr_block = "10.0.2.0/24", vpc_id = "vpc-0a" }
  }
  expect_failures = [data.aws_subnet.zone["euc1-az2"]]
}

run "zones_by_letter_are_refused" {
  command = plan
  variables {
    zones = { "eu-central-1a" = { subnet_id = "subnet-01", cidr_block = "10.0.1.0/24" } }
  }
  expect_failures = [var.zones]
}

run "a_cluster_id_that_is_none_is_refused" {
  command = plan
  variables {
    cluster_id = "prod"
  }
  expect_failures = [var.cluster_id]
}

run "the_whole_internet_as_clients_is_refused" {
  command = plan
  variables {
    client_cidr_blocks = ["0.0.0.0/0"]
  }
  expect_failures = [var.client_cidr_blocks]
}

run "min_isr_equal_to_the_replicas_is_refused" {
  command = plan
  variables {
    min_insync_replicas = 3
  }
  expect_failures = [var.min_insync_replicas]
}

run "fewer_brokers_than_replicas_are_refused" {
  command = plan
  variables {
    brokers = 2
    voters  = 1
  }
  expect_failures = [var.brokers]
}

run "settings_that_the_module_owns_are_refused" {
  command = plan
  variables {
    settings = { "listeners" = "PLAINTEXT://0.0.0.0:9092" }
  }
  expect_failures = [var.settings]
}

run "a_second_run_over_a_live_cluster_is_refused" {
  command = plan
  override_data {
    target = data.aws_instances.live
    values = { ids = ["i-1", "i-2", "i-3", "i-4", "i-5"] }
  }
  expect_failures = [data.aws_instances.live]
}

run "the_state_that_made_a_live_cluster_goes_on" {
  command = plan
  variables {
    is_live = true
  }
  override_data {
    target = data.aws_instances.live
    values = { ids = ["i-1", "i-2", "i-3", "i-4", "i-5"] }
  }
  assert {
    condition     = data.aws_instances.live.instance_tags == tomap({ "esker:cluster" = "prod" }) && !contains(data.aws_instances.live.instance_state_names, "terminated") && contains(data.aws_instances.live.instance_state_names, "stopped")
    error_message = "not this cluster's instances are looked for"
  }
}

run "brokers_that_are_not_drained_are_not_destroyed" {
  command = plan
  variables {
    is_live = true
    brokers = 3
  }
  override_data {
    target = data.aws_instances.beyond
    values = { ids = ["i-4", "i-5"] }
  }
  expect_failures = [data.aws_instances.beyond]
}

run "brokers_drained_to_another_number_are_not_destroyed" {
  command = plan
  variables {
    is_live    = true
    brokers    = 3
    drained_to = 4
  }
  override_data {
    target = data.aws_instances.beyond
    values = { ids = ["i-4", "i-5"] }
  }
  expect_failures = [data.aws_instances.beyond]
}

# While it is protected from being stopped, the service does not end an instance either: no destruction could be applied.
run "instances_are_protected_from_being_stopped" {
  command = plan

  assert {
    condition     = alltrue([for broker in aws_instance.broker : broker.disable_api_stop])
    error_message = "an instance could be stopped, and lose its disks"
  }
}

run "drained_brokers_lose_their_protection_first_and_no_other_does" {
  command = plan
  variables {
    is_live    = true
    drained_to = 3
  }
  override_data {
    target = data.aws_instances.leaving[0]
    values = { ids = ["i-4", "i-5"] }
  }
  assert {
    condition     = { for id, broker in aws_instance.broker : id => broker.disable_api_stop } == { "1" = true, "2" = true, "3" = true, "4" = false, "5" = false }
    error_message = "the protection is lifted from others than those above drained_to, or not from them"
  }
  assert {
    condition     = toset(flatten([for filter in data.aws_instances.leaving[0].filter : filter.values if filter.name == "tag:esker:broker"])) == toset(["4", "5"])
    error_message = "not those above drained_to are looked for"
  }
}

run "a_broker_is_not_made_without_protection" {
  command = plan
  variables {
    is_live    = true
    drained_to = 3
  }
  override_data {
    target = data.aws_instances.leaving[0]
    values = { ids = ["i-4"] }
  }
  expect_failures = [data.aws_instances.leaving]
}

run "drained_to_fewer_than_the_replicas_is_refused" {
  command = plan
  variables {
    is_live    = true
    drained_to = 2
    voters     = 1
  }
  override_data {
    target = data.aws_instances.leaving[0]
    values = { ids = ["i-3", "i-4", "i-5"] }
  }
  expect_failures = [var.drained_to]
}

run "drained_to_fewer_than_the_voters_is_refused" {
  command = plan
  variables {
    is_live    = true
    drained_to = 4
    voters     = 5
  }
  override_data {
    target = data.aws_instances.leaving[0]
    values = { ids = ["i-5"] }
  }
  expect_failures = [var.drained_to]
}

run "brokers_that_are_still_protected_are_not_destroyed" {
  command = plan
  variables {
    is_live    = true
    brokers    = 3
    drained_to = 3
  }
  override_data {
    target = data.aws_instances.beyond
    values = { ids = ["i-4", "i-5"] }
  }
  override_data {
    target = data.aws_instance.going["i-5"]
    values = { disable_api_stop = true }
  }
  expect_failures = [data.aws_instance.going["i-5"]]
}

run "drained_brokers_may_go" {
  command = plan
  variables {
    is_live    = true
    brokers    = 3
    drained_to = 3
  }
  override_data {
    target = data.aws_instances.beyond
    values = { ids = ["i-4", "i-5"] }
  }
  assert {
    condition     = keys(data.aws_instance.going) == ["i-4", "i-5"] && alltrue([for broker in aws_instance.broker : broker.disable_api_stop])
    error_message = "the protection of those that go is not looked at, or one that stays has none"
  }
  assert {
    condition     = toset(flatten([for filter in data.aws_instances.beyond.filter : filter.values if filter.name == "tag:esker:broker"])) == toset([for id in range(4, 101) : tostring(id)])
    error_message = "the brokers above the number are not those that are looked for"
  }
}

# On the machine itself metrics and the console are at 127.0.0.1:9644.
run "the_machines_own_port_for_clients_is_refused" {
  command = plan
  variables {
    client_port = 9644
  }
  expect_failures = [var.client_port]
}

run "the_machines_own_port_for_metrics_is_refused" {
  command = plan
  variables {
    admin_port = 9644
  }
  expect_failures = [var.admin_port]
}

run "one_port_for_clients_and_metrics_is_refused" {
  command = plan
  variables {
    client_port = 9700
    admin_port  = 9700
  }
  expect_failures = [var.admin_port]
}

run "ports_beside_them_are_taken" {
  command = plan
  variables {
    client_port = 9645
    admin_port  = 9643
  }
  assert {
    condition     = endswith(output.bootstrap_servers, ":9645")
    error_message = "clients are told of another port"
  }
}

run "an_empty_prefix_is_refused" {
  command = plan
  variables {
    bucket_prefix = ""
  }
  expect_failures = [var.bucket_prefix]
}

run "a_checksum_that_is_none_is_refused" {
  command = plan
  variables {
    binary_sha256 = "latest"
  }
  expect_failures = [var.binary_sha256]
}

run "the_bucket_of_another_cluster_is_refused" {
  command = plan
  variables {
    create_bucket = false
    bucket_name   = "payroll-cold"
  }
  override_data {
    target = data.aws_resourcegroupstaggingapi_resources.bucket
    values = { resource_tag_mapping_list = [{ resource_arn = "arn:aws:s3:::prod-cold" }] }
  }
  expect_failures = [data.aws_resourcegroupstaggingapi_resources.bucket]
}

run "the_bucket_of_this_cluster_is_used_as_it_is" {
  command = plan
  variables {
    create_bucket = false
  }
  override_data {
    target = data.aws_resourcegroupstaggingapi_resources.bucket
    values = { resource_tag_mapping_list = [{ resource_arn = "arn:aws:s3:::prod-cold" }] }
  }
  assert {
    condition     = length(aws_s3_bucket.cold) == 0 && length(aws_s3_bucket_policy.cold) == 0
    error_message = "a bucket that was there is changed"
  }
}
