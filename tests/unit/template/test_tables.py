"""What is remembered survives: both tables are kept, protected, encrypted and can be restored to any second."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.unit.docs.documents import ROOT


class _Loader(yaml.SafeLoader):
    """CloudFormation's short functions are left as what they are about."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, node: node.value)
TABLES: dict[str, Any] = {
    name: resource
    for name, resource in yaml.load((ROOT / "template.yaml").read_text(), _Loader)["Resources"].items()
    if resource["Type"] == "AWS::DynamoDB::Table"
}


def test_there_are_two_tables() -> None:
    assert set(TABLES) == {"IncidentsTable", "LedgerTable"}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_kept_protected_encrypted_and_can_be_restored(name: str) -> None:
    table, properties = TABLES[name], TABLES[name]["Properties"]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert properties["DeletionProtectionEnabled"] is True
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
