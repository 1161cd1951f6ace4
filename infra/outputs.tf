output "environ" {
  description = "The settings of the producer's tasks, to point dpss-producer at this deployment; AWS_REGION among them."
  value       = { for name, value in local.producer_settings : name => value if value != "" && name != "DPSS_LOG_FORMAT" }
}

output "repositories" {
  description = "Where the images of producer and worker are pushed to."
  value       = { for side, repository in aws_ecr_repository.image : side => repository.repository_url }
}

output "image_tag" {
  description = "The tag that the task definitions ask for."
  value       = var.image_tag
}

output "cluster" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.fleet.name
}

output "worker_service" {
  description = "The worker's service in the cluster."
  value       = aws_ecs_service.worker.name
}

output "producer_run" {
  description = "Arguments of aws ecs run-task for a daily run by hand."

  value = join(" ", [
    "--cluster ${aws_ecs_cluster.fleet.name}",
    "--task-definition ${aws_ecs_task_definition.producer.family}",
    "--launch-type FARGATE",
    "--network-configuration 'awsvpcConfiguration={subnets=[${join(",", local.subnet_ids)}],securityGroups=[${aws_security_group.tasks.id}],assignPublicIp=${local.public_ip ? "ENABLED" : "DISABLED"}}'",
  ])
}

output "operator_policy_arn" {
  description = "The policy for those who look after the fleet."
  value       = aws_iam_policy.operator.arn
}

output "alarm_topic_arn" {
  description = "Where alarms go."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard" {
  description = "The dashboard's name."
  value       = aws_cloudwatch_dashboard.fleet.dashboard_name
}

output "gallery_url" {
  description = "The gallery; null without one."
  value       = var.gallery ? "https://${aws_cloudfront_distribution.gallery[0].domain_name}/" : null
}
