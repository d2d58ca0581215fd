"""Cases that are run both on the whole stack and in one process, with what comes of them."""

FAST = {
    "new-cidr:remediation:NetworkFunction:ec2:CreateSubnet:0:killed:once": "healed",
    "new-cidr:remediation:ClusterFunction:kubernetes:create_eniconfigs:1:denied:lasting": "restored",
}
SLOW = {
    "new-cidr:remediation:ClusterFunction:eks:UpdateAddon:0:lost:once": "healed",
    "new-cidr:remediation:IncidentFunction:dynamodb:UpdateItem:0:unavailable:lasting": "healed",
    "new-cidr:remediation:NotifyFunction:slack:chat.postMessage:0:killed:once": "healed",
    "new-cidr:rollback-evict:NetworkFunction:ec2:DeleteSubnet:0:denied:lasting": "stopped, resumable",
    "new-cidr:rollback-evict:ClusterFunction:kubernetes:create_pods/eviction:0:lost:once": "restored",
    "new-cidr:rollback:ClusterFunction:kubernetes:list_pods:0:cut:lasting": "stopped, resumable",
}
