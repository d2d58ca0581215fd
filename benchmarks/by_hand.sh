#!/usr/bin/env bash
# The cure by hand, as somebody who knows it well would script it: aws and kubectl, whatever can run side by side does.
#
#   by_hand.sh CLUSTER VPC_CIDR SUBNET_CIDR...      one subnet CIDR for each zone that has nodes
#
# The operator has decided on the addresses and diagnosed the shortage before; neither costs this script any time.
# Needs AWS credentials, AWS_DEFAULT_REGION and KUBECONFIG in the environment.
set -euo pipefail

if (($# < 3)); then
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
cluster=$1 block=$2
shift 2
cidrs=("$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
zone_of_nodes='{range .items[*]}{.metadata.labels.topology\.kubernetes\.io/zone} {.spec.providerID}{"\n"}{end}'
cni_flag='{.spec.template.spec.containers[?(@.name=="aws-node")].env[?(@.name=="AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG")].value}'

# Every job is waited for by its pid, so that one that fails ends the script.
join() { for job in "$@"; do wait "$job"; done; }

aws eks describe-cluster --name "$cluster" --output text \
  --query 'cluster.resourcesVpcConfig.[vpcId,clusterSecurityGroupId || securityGroupIds[0]]' >"$work/cluster" &
jobs=($!)
kubectl get nodes --output jsonpath="$zone_of_nodes" | sort -u -k1,1 >"$work/nodes" &
jobs+=($!)
aws eks describe-addon --cluster-name "$cluster" --addon-name vpc-cni --output text \
  --query 'addon.configurationValues' >"$work/addon" &
jobs+=($!)
join "${jobs[@]}"
read -r vpc group <"$work/cluster"

associate() {
  aws ec2 associate-vpc-cidr-block --vpc-id "$vpc" --cidr-block "$block" >/dev/null
  until [[ $(aws ec2 describe-vpcs --vpc-ids "$vpc" --output text --query \
    "Vpcs[0].CidrBlockAssociationSet[?CidrBlock=='$block'].CidrBlockState.State") == associated ]]; do
    sleep 0.5
  done
}
associate &
jobs=($!)
# The route table and network ACL of the subnet that the zone's nodes are in.
facts() {
  local zone=$1 instance=$2 subnet
  subnet=$(aws ec2 describe-instances --instance-ids "$instance" --output text \
    --query 'Reservations[0].Instances[0].SubnetId')
  aws ec2 describe-route-tables --filters "Name=association.subnet-id,Values=$subnet" --output text \
    --query 'RouteTables[0].RouteTableId' >"$work/$zone.table" &
  local table=$!
  aws ec2 describe-network-acls --filters "Name=association.subnet-id,Values=$subnet" --output text \
    --query 'NetworkAcls[0].NetworkAclId' >"$work/$zone.acl"
  wait "$table"
}
while read -r zone provider; do
  facts "$zone" "${provider##*/}" &
  jobs+=($!)
done <"$work/nodes"
join "${jobs[@]}"

provision() {
  local zone=$1 cidr=$2 subnet association
  subnet=$(aws ec2 create-subnet --vpc-id "$vpc" --availability-zone "$zone" --cidr-block "$cidr" --output text \
    --tag-specifications "ResourceType=subnet,Tags=[{Key=Name,Value=pods-$zone}]" --query Subnet.SubnetId)
  aws ec2 associate-route-table --subnet-id "$subnet" --route-table-id "$(<"$work/$zone.table")" >/dev/null &
  local table=$!
  association=$(aws ec2 describe-network-acls --filters "Name=association.subnet-id,Values=$subnet" --output text \
    --query "NetworkAcls[0].Associations[?SubnetId=='$subnet'].NetworkAclAssociationId")
  aws ec2 replace-network-acl-association --association-id "$association" \
    --network-acl-id "$(<"$work/$zone.acl")" >/dev/null
  wait "$table"
  cat >"$work/$zone.yaml" <<YAML
---
apiVersion: crd.k8s.amazonaws.com/v1alpha1
kind: ENIConfig
metadata: { name: $zone }
spec: { subnet: $subnet, securityGroups: [$group] }
YAML
}
jobs=() index=0
while read -r zone _; do
  cidr=${cidrs[index++]} # here, not in the job: it would count in a shell of its own
  provision "$zone" "$cidr" &
  jobs+=($!)
done <"$work/nodes"
join "${jobs[@]}"
cat "$work"/*.yaml | kubectl apply --filename - >/dev/null

merge='import json, sys
values = json.loads(sys.stdin.read().replace("None", "").strip() or "{}")
values.setdefault("env", {}).update(AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG="true",
                                    ENI_CONFIG_LABEL_DEF="topology.kubernetes.io/zone")
print(json.dumps(values))'
aws eks update-addon --cluster-name "$cluster" --addon-name vpc-cni --resolve-conflicts PRESERVE \
  --configuration-values "$(python3 -c "$merge" <"$work/addon")" >/dev/null
until [[ $(kubectl --namespace kube-system get daemonset aws-node --output jsonpath="$cni_flag") == true ]]; do
  sleep 0.2
done
kubectl --namespace kube-system rollout status daemonset/aws-node --timeout 180s >/dev/null
kubectl wait pod --all --for condition=Ready --timeout 180s >/dev/null
