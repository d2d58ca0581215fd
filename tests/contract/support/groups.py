"""Auto Scaling groups of tests."""

from __future__ import annotations

from typing import Any


def group_of_one(ec2: Any, autoscaling: Any, name: str, subnet: str, **tags: str) -> str:
    """Makes a group with one instance, which bears the group's tags; the instance's id."""
    image = ec2.register_image(Name=name, Architecture="x86_64")["ImageId"]
    template = {"ImageId": image, "InstanceType": "t3.medium"}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=template)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=1,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
    )
    [group] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    [instance] = group["Instances"]
    return str(instance["InstanceId"])
