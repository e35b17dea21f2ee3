# Who may talk to whom. Every rule names its port; nothing is open to the internet, there is no SSH.

resource "aws_security_group" "broker" {
  name        = "${var.name}-broker"
  description = "Esker brokers"
  vpc_id      = var.vpc_id
  tags        = local.tags
}

resource "aws_security_group" "bootstrap" {
  name        = "${var.name}-bootstrap"
  description = "The load balancer before the brokers"
  vpc_id      = var.vpc_id
  tags        = local.tags
}

locals {
  # Rules as data, so that tests can read them whole.
  ingress = merge(
    {
      peers = { group = "broker", protocol = "udp", port = var.peer_port, peer = "broker", cidr = null
      description = "QUIC from broker to broker" }
      bootstrap = { group = "broker", protocol = "tcp", port = var.client_port, peer = "bootstrap", cidr = null
      description = "Bootstrap and its health check" }
    },
    { for block in var.client_cidr_blocks : "clients ${block}" => { group = "broker", protocol = "tcp", port = var.client_port, peer = null, cidr = block
    description = "Clients" } },
    { for block in var.client_cidr_blocks : "bootstrap ${block}" => { group = "bootstrap", protocol = "tcp", port = var.client_port, peer = null, cidr = block
    description = "Clients" } },
    { for block in var.monitoring_cidr_blocks : "monitoring ${block}" => { group = "broker", protocol = "tcp", port = var.admin_port, peer = null, cidr = block
    description = "Metrics and the console, by HTTPS" } },
  )
  egress = {
    peers = { group = "broker", protocol = "udp", port = var.peer_port, peer = "broker", prefix_list = null, cidr = null
    description = "QUIC from broker to broker" }
    s3 = { group = "broker", protocol = "tcp", port = 443, peer = null, prefix_list = data.aws_prefix_list.s3.id, cidr = null
    description = "The cold tier, through the gateway endpoint" }
    services = { group = "broker", protocol = "tcp", port = 443, peer = null, prefix_list = null, cidr = "0.0.0.0/0"
    description = "Systems Manager, STS, and the binary" }
    to_brokers = { group = "bootstrap", protocol = "tcp", port = var.client_port, peer = "broker", prefix_list = null, cidr = null
    description = "To the brokers" }
  }
  groups = { broker = aws_security_group.broker.id, bootstrap = aws_security_group.bootstrap.id }
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each                     = local.ingress
  security_group_id            = local.groups[each.value.group]
  description                  = each.value.description
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.peer == null ? null : local.groups[each.value.peer]
  cidr_ipv4                    = each.value.cidr
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each                     = local.egress
  security_group_id            = local.groups[each.value.group]
  description                  = each.value.description
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = each.value.peer == null ? null : local.groups[each.value.peer]
  prefix_list_id               = each.value.prefix_list
  cidr_ipv4                    = each.value.cidr
  tags                         = local.tags
}

resource "aws_vpc_endpoint" "s3" {
  count             = length(var.route_table_ids) > 0 ? 1 : 0
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  tags              = merge(local.tags, { Name = "${var.name}-s3" })
}

resource "aws_security_group" "endpoints" {
  count       = var.create_ssm_endpoints ? 1 : 0
  name        = "${var.name}-endpoints"
  description = "Endpoints of Systems Manager"
  vpc_id      = var.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count                        = var.create_ssm_endpoints ? 1 : 0
  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "Brokers"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = aws_security_group.broker.id
  tags                         = local.tags
}

resource "aws_vpc_endpoint" "ssm" {
  for_each            = var.create_ssm_endpoints ? toset(["ssm", "ssmmessages"]) : []
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for zone in local.zone_ids : var.zones[zone].subnet_id]
  security_group_ids  = [aws_security_group.endpoints[0].id]
  tags                = merge(local.tags, { Name = "${var.name}-${each.key}" })
}
