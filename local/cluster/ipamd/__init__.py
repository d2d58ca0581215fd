"""The VPC CNI's node agent (ipamd), after amazon-vpc-cni-k8s v1.23.1.

`settings`, `pool`, `management` and `decisions` are pure; `ec2`, `growth`, `reconciling` and `agent` carry them out.
"""
