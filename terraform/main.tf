# The brokers: one network interface and one name each, which stay when the machine is replaced.

resource "aws_network_interface" "broker" {
  for_each        = local.brokers
  description     = "esker ${var.name} broker ${each.key}"
  subnet_id       = var.zones[each.value.zone].subnet_id
  private_ips     = [each.value.address]
  security_groups = [aws_security_group.broker.id]
  tags            = merge(local.tags, { Name = "${var.name}-broker-${each.key}" })

  depends_on = [data.aws_subnet.zone]
}

# Brokers of one zone stand on hardware of their own: a partition shares no rack with another. All seven that a zone may have,
# whatever the number of brokers: the count can't be changed while instances are in the group.
resource "aws_placement_group" "brokers" {
  name            = "${var.name}-brokers"
  strategy        = "partition"
  partition_count = 7
  tags            = local.tags
}

resource "aws_instance" "broker" {
  for_each = local.brokers

  ami                        = local.image
  instance_type              = var.instance_type
  iam_instance_profile       = aws_iam_instance_profile.broker[each.key].name
  placement_group            = aws_placement_group.brokers.name
  placement_partition_number = each.value.turn % 7 + 1
  user_data_base64           = base64gzip(local.user_data[each.key])
  # An instance that is stopped loses its disks: only a replacement is asked for, and that by name. The service refuses to end
  # it too while this holds: deploy/scripts/replace-instance lifts it from the one instance that it replaces, and drained_to from
  # those that go. What Terraform destroys it takes as it is: lifted in one apply, destroyed in the next.
  disable_api_stop                     = tonumber(each.key) <= coalesce(var.drained_to, var.brokers)
  instance_initiated_shutdown_behavior = "stop"
  monitoring                           = true

  primary_network_interface {
    network_interface_id = aws_network_interface.broker[each.key].id
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.root_volume_gib
    encrypted   = true
    kms_key_id  = local.key_arn
  }

  tags = merge(local.tags, { Name = "${var.name}-broker-${each.key}", "esker:broker" = each.key })

  lifecycle {
    # Never all brokers at once: a new image or new settings reach a broker when deploy/scripts/replace-instances
    # replaces it, one after the other, each when the one before is in sync again.
    ignore_changes = [ami, user_data_base64, instance_type]
  }

  depends_on = [data.aws_ec2_instance_type.broker, aws_iam_role_policy.broker]
}

resource "aws_route53_zone" "private" {
  count = var.zone_id == null ? 1 : 0
  name  = local.dns_zone
  tags  = local.tags

  vpc {
    vpc_id = var.vpc_id
  }
}

resource "aws_route53_record" "broker" {
  for_each = local.brokers
  zone_id  = var.zone_id != null ? var.zone_id : aws_route53_zone.private[0].zone_id
  name     = each.value.host
  type     = "A"
  ttl      = 60
  records  = [each.value.address]
}

# Bootstrap only: Metadata answers with the brokers' own names.

resource "aws_lb" "bootstrap" {
  count                            = var.create_load_balancer ? 1 : 0
  name                             = "${var.name}-bootstrap"
  internal                         = true
  load_balancer_type               = "network"
  subnets                          = [for zone in local.zone_ids : var.zones[zone].subnet_id]
  security_groups                  = [aws_security_group.bootstrap.id]
  enable_cross_zone_load_balancing = true
  tags                             = local.tags
}

resource "aws_lb_target_group" "bootstrap" {
  count                = var.create_load_balancer ? 1 : 0
  name                 = "${var.name}-bootstrap"
  port                 = var.client_port
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = var.vpc_id
  deregistration_delay = 15
  preserve_client_ip   = "false"
  tags                 = local.tags

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_target_group_attachment" "bootstrap" {
  for_each         = var.create_load_balancer ? local.brokers : {}
  target_group_arn = aws_lb_target_group.bootstrap[0].arn
  target_id        = each.value.address
  port             = var.client_port
}

resource "aws_lb_listener" "bootstrap" {
  count             = var.create_load_balancer ? 1 : 0
  load_balancer_arn = aws_lb.bootstrap[0].arn
  port              = var.client_port
  protocol          = "TCP" # TLS ends in the broker
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.bootstrap[0].arn
  }
}

resource "aws_route53_record" "bootstrap" {
  count   = var.create_load_balancer ? 1 : 0
  zone_id = var.zone_id != null ? var.zone_id : aws_route53_zone.private[0].zone_id
  name    = local.bootstrap
  type    = "A"

  alias {
    name                   = aws_lb.bootstrap[0].dns_name
    zone_id                = aws_lb.bootstrap[0].zone_id
    evaluate_target_health = false
  }
}
