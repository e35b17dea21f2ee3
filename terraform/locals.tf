data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_ec2_instance_type" "broker" {
  instance_type = var.instance_type

  lifecycle {
    postcondition {
      condition     = self.instance_storage_supported && (self.hypervisor == "nitro" || self.bare_metal) && alltrue([for disk in self.instance_disks : disk.type == "ssd"])
      error_message = "${var.instance_type} has no NVMe instance storage; the hot tier needs it. Take im4gn, i4i, i8g or another type with a 'd' or 'n' for local disks."
    }
  }
}

# What runs, or will again, under this cluster's name. A plan that does not know it would change it without knowing.
data "aws_instances" "live" {
  instance_tags        = { "esker:cluster" = var.name }
  instance_state_names = ["pending", "running", "stopping", "stopped"]

  lifecycle {
    postcondition {
      condition     = var.is_live || length(self.ids) == 0
      error_message = "Brokers of a cluster ${var.name} run already: ${join(", ", self.ids)}. Nothing was changed. If this state made them, set is_live = true; if another did, work with that one, or choose another name."
    }
  }
}

data "aws_instances" "beyond" {
  instance_state_names = ["pending", "running", "stopping", "stopped"]

  filter {
    name   = "tag:esker:cluster"
    values = [var.name]
  }
  filter {
    name   = "tag:esker:broker"
    values = [for id in range(var.brokers + 1, 101) : tostring(id)]
  }

  lifecycle {
    postcondition {
      condition     = length(self.ids) == 0 || try(var.drained_to == var.brokers, false)
      error_message = "Brokers above ${var.brokers} run: ${join(", ", self.ids)}. They would be destroyed with what only they hold; nothing was changed. Drain each (deploy/scripts/remove-broker ID), then apply drained_to = ${var.brokers} with brokers as it was, and lower brokers after that."
    }
  }
}

# Those of them that go now. The service would refuse to end one that is still protected, when the apply is half done.
data "aws_instance" "going" {
  for_each    = try(var.drained_to == var.brokers, false) ? toset(data.aws_instances.beyond.ids) : toset([])
  instance_id = each.key

  lifecycle {
    postcondition {
      condition     = !self.disable_api_stop
      error_message = "${each.key}, a broker above ${var.brokers}, is still protected from being ended; nothing was changed. First apply drained_to = ${var.brokers} with brokers as it was, which lifts that; then lower brokers."
    }
  }
}

# Those whose protection drained_to lifts: brokers that run. One that is made would have none from its first day.
data "aws_instances" "leaving" {
  count                = try(var.drained_to < var.brokers, false) ? 1 : 0
  instance_state_names = ["pending", "running", "stopping", "stopped"]

  filter {
    name   = "tag:esker:cluster"
    values = [var.name]
  }
  filter {
    name   = "tag:esker:broker"
    values = [for id in range(var.drained_to + 1, var.brokers + 1) : tostring(id)]
  }

  lifecycle {
    postcondition {
      condition     = length(self.ids) == var.brokers - var.drained_to
      error_message = "drained_to = ${var.drained_to} says that the brokers above it go, and of the ${var.brokers - var.drained_to} up to ${var.brokers} there are ${length(self.ids)}: the others would be made without protection from being stopped or ended. Nothing was changed. Take drained_to away to have more brokers."
    }
  }
}

data "aws_subnet" "zone" {
  for_each = var.zones
  id       = each.value.subnet_id

  lifecycle {
    postcondition {
      condition     = self.availability_zone_id == each.key
      error_message = "${each.value.subnet_id} lies in zone ${self.availability_zone_id}, not in ${each.key}: the rack of its brokers would be wrong."
    }
    postcondition {
      condition     = self.cidr_block == each.value.cidr_block && self.vpc_id == var.vpc_id
      error_message = "${each.value.subnet_id} has the block ${self.cidr_block} in ${self.vpc_id}, not ${each.value.cidr_block} in ${var.vpc_id}."
    }
  }
}

data "aws_ssm_parameter" "image" {
  count = var.ami_id == null ? 1 : 0
  name  = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${local.architecture}"
}

data "aws_prefix_list" "s3" {
  name = "com.amazonaws.${data.aws_region.current.region}.s3"
}

locals {
  tags         = merge({ "esker:cluster" = var.name }, var.tags)
  architecture = contains(data.aws_ec2_instance_type.broker.supported_architectures, "arm64") ? "arm64" : "x86_64"
  image        = var.ami_id != null ? var.ami_id : nonsensitive(data.aws_ssm_parameter.image[0].value)
  secrets_path = coalesce(var.secrets_path, "/esker/${var.name}")
  key_arn      = var.kms_key_arn != null ? var.kms_key_arn : aws_kms_key.esker[0].arn
  bucket_arn   = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket_name}"
  store_url    = "s3://${var.bucket_name}/${var.bucket_prefix}"
  dns_zone     = "${var.name}.${var.domain}"
  zone_ids     = sort(keys(var.zones))
  account      = data.aws_caller_identity.current.account_id
  region       = data.aws_region.current.region

  # Broker id → where it stands. Ids are dealt over the zones, so the voters (the first ids) stand in different ones.
  brokers = {
    for id in range(1, var.brokers + 1) : tostring(id) => {
      zone    = local.zone_ids[(id - 1) % length(local.zone_ids)]
      turn    = floor((id - 1) / length(local.zone_ids))
      host    = "broker-${id}.${local.dns_zone}"
      address = cidrhost(var.zones[local.zone_ids[(id - 1) % length(local.zone_ids)]].cidr_block, var.zones[local.zone_ids[(id - 1) % length(local.zone_ids)]].first_host + floor((id - 1) / length(local.zone_ids)))
    }
  }

  quorum    = join(",", [for id in range(1, var.voters + 1) : "${id}@${local.brokers[tostring(id)].host}:${var.peer_port}"])
  bootstrap = "bootstrap.${local.dns_zone}"

  properties = {
    for id, broker in local.brokers : id => merge(var.settings, {
      "node.id"                                  = id
      "cluster.id"                               = var.cluster_id
      "broker.rack"                              = broker.zone
      "listeners"                                = "SASL_SSL://0.0.0.0:${var.client_port}"
      "advertised.listeners"                     = "SASL_SSL://${broker.host}:${var.client_port}"
      "peer.listener"                            = "0.0.0.0:${var.peer_port}"
      "peer.advertised.listener"                 = "${broker.host}:${var.peer_port}"
      "controller.quorum.voters"                 = local.quorum
      "admin.listeners"                          = "http://127.0.0.1:9644,https://0.0.0.0:${var.admin_port}"
      "log.dirs"                                 = "/var/lib/esker/data"
      "tier.store.url"                           = local.store_url
      "tier.store.region"                        = local.region
      "default.replication.factor"               = var.replication_factor
      "min.insync.replicas"                      = var.min_insync_replicas
      "offsets.topic.replication.factor"         = var.replication_factor
      "transaction.state.log.replication.factor" = var.replication_factor
      "transaction.state.log.min.isr"            = var.min_insync_replicas
      "peer.ssl.ca.location"                     = "/etc/esker/tls/ca.crt"
      "peer.ssl.certificate.location"            = "/etc/esker/tls/node.crt"
      "peer.ssl.key.location"                    = "/etc/esker/tls/node.key"
      "ssl.keystore.certificate.location"        = "/etc/esker/tls/node.crt"
      "ssl.keystore.key.location"                = "/etc/esker/tls/node.key"
      "authorizer.class.name"                    = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
      "super.users"                              = "User:admin"
      "audit.log.path"                           = "/var/log/esker/audit.log"
    })
  }

  # What cloud-init gets. It changes with the settings, but a running broker is never replaced because of it.
  user_data = {
    for id, broker in local.brokers : id => templatefile("${path.module}/templates/cloud-init.yaml.tftpl", {
      cluster       = var.name
      id            = id
      region        = local.region
      secrets_path  = local.secrets_path
      binary_url    = var.binary_url
      binary_sha256 = var.binary_sha256
      properties    = join("", [for key, value in local.properties[id] : "${key}=${value}\n"])
      disks         = file("${path.module}/../deploy/host/esker-disks")
      disks_unit    = file("${path.module}/../deploy/host/esker-disks.service")
      unit          = file("${path.module}/../deploy/host/esker.service")
      sysctl        = file("${path.module}/../deploy/host/90-esker.conf")
      fetch         = file("${path.module}/templates/esker-fetch")
    })
  }
}
