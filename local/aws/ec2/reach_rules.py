"""AWS's rules for VPC endpoints, transit gateways and prefix lists that moto lacks."""

from __future__ import annotations

from typing import Any

from local.aws.ec2 import errors
from local.aws.ec2.vpc_rules import held_networks


class ReachRules:
    """Layer over moto's EC2Backend; ``Any`` stands for moto's models, which are not typed for subclassing."""

    def create_vpc_endpoint(self, *arguments: Any, **keywords: Any) -> Any:
        """Create an endpoint; an interface endpoint has an ENI in each subnet, which moto gives random addresses."""
        if (keywords.get("endpoint_type") or "").lower() != "interface":
            return super().create_vpc_endpoint(*arguments, **keywords)  # type: ignore[misc]
        subnet_ids = list(keywords.get("subnet_ids") or [])
        made = super().create_vpc_endpoint(*arguments, **{**keywords, "subnet_ids": []})  # type: ignore[misc]
        made.subnet_ids = subnet_ids
        made.network_interface_ids = [self._endpoint_interface(made, subnet_id) for subnet_id in subnet_ids]
        return made

    def _endpoint_interface(self, endpoint: Any, subnet_id: str) -> str:
        eni = self.create_network_interface(  # type: ignore[attr-defined]
            subnet_id, [], group_ids=endpoint.security_group_ids or None
        )
        eni.description = f"VPC Endpoint Interface {endpoint.id}"
        eni.interface_type, eni.status, eni.requester_managed = "vpc_endpoint", "in-use", True
        return str(eni.id)

    def search_transit_gateway_routes(
        self, transit_gateway_route_table_id: str, filters: Any, max_results: int | None = None
    ) -> list[dict[str, Any]]:
        """Static routes and those that VPC attachments propagate. InvalidRouteTableID.NotFound for an unknown table."""
        if transit_gateway_route_table_id not in self.transit_gateways_route_tables:  # type: ignore[attr-defined]
            raise errors.no_route_table(transit_gateway_route_table_id)
        table = self.transit_gateways_route_tables[transit_gateway_route_table_id]  # type: ignore[attr-defined]
        routes = self._propagated_routes(table)
        for destination, route in table.routes.items():
            via = route.get("transitGatewayAttachments")
            attachments = [via] if isinstance(via, dict) else []
            routes[destination] = {**route, "transitGatewayAttachments": attachments}
        names = {"type": "type", "state": "state", "route-search.exact-match": "destinationCidrBlock"}
        matching = [
            route
            for route in routes.values()
            if all(route[names[name]] in values for name, values in filters.items() if name in names)
        ]
        return matching[: int(max_results)] if max_results else matching

    def _propagated_routes(self, table: Any) -> dict[str, dict[str, Any]]:
        """A VPC attached to a gateway propagates its CIDRs into the default table, if there is one."""
        routes: dict[str, dict[str, Any]] = {}
        for attachment in self.transit_gateway_attachments.values():  # type: ignore[attr-defined]
            gateway = self.transit_gateways.get(attachment.transit_gateway_id)  # type: ignore[attr-defined]
            propagates = gateway and gateway.options["DefaultRouteTablePropagation"] == "enable"
            if attachment.resource_type != "vpc" or not propagates or gateway.default_route_table.id != table.id:
                continue
            via = {
                "resourceId": attachment.resource_id,
                "resourceType": "vpc",
                "transitGatewayAttachmentId": attachment.id,
            }
            for network in held_networks(self.get_vpc(attachment.resource_id)):  # type: ignore[attr-defined]
                routes[str(network)] = {
                    "destinationCidrBlock": str(network),
                    "state": "active",
                    "type": "propagated",
                    "transitGatewayAttachments": [via],
                }
        return routes

    def get_managed_prefix_list_entries(self, prefix_list_id: str) -> Any:
        """The list. InvalidPrefixListID.NotFound for an unknown one."""
        if prefix_list_id not in self.managed_prefix_lists:  # type: ignore[attr-defined]
            raise errors.no_prefix_list(prefix_list_id)
        return super().get_managed_prefix_list_entries(prefix_list_id)  # type: ignore[misc]
