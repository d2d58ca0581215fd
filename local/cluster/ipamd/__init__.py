"""The VPC CNI's node agent (ipamd), after amazon-vpc-cni-k8s v1.23.1.

`pool` and `decisions` are pure; `ec2` and `agent` carry the decisions out.
"""
