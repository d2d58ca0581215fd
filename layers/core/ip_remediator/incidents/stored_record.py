"""The record of an incident, read from its item of the table."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from ip_remediator.clients.aws.dynamodb import Item
from ip_remediator.common.document import Document
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.calls_by_others import CallsByOthers
from ip_remediator.incidents.document_attributes import from_attribute
from ip_remediator.incidents.record import (
    Approval,
    Failure,
    Incident,
    Policy,
    Progress,
    Rollback,
    RunRequest,
    SlackMessage,
    Verification,
)
from ip_remediator.incidents.replacement_record import Replacement
from ip_remediator.incidents.signal_attributes import summary_of
from ip_remediator.planning.model import Plan

_DOCUMENTS: dict[str, type[Document]] = {
    "request": RunRequest,
    "policy": Policy,
    "diagnosis": Diagnosis,
    "plan": Plan,
    "approval": Approval,
    "progress": Progress,
    "verification": Verification,
    "failure": Failure,
    "slack": SlackMessage,
    "rollback": Rollback,
    "rollback_approval": Approval,
    "replacement": Replacement,
    "replacement_approval": Approval,
    "calls_by_others": CallsByOthers,
}
# The fields that are attributes of their own, as they are; `summary_of` reads the signals.
_SCALARS = {field.alias or name for name, field in Incident.model_fields.items()} - {
    *_DOCUMENTS,
    *("id", "signals", "schema_number"),
}


def from_stream_image(image: dict[str, Any]) -> Incident:
    """The record from a DynamoDB Streams NEW_IMAGE (DynamoDB's typed JSON) of a META item."""
    deserializer = TypeDeserializer()
    return incident_of({name: deserializer.deserialize(value) for name, value in image.items()})


def incident_of(item: Item) -> Incident:
    """The incident of an item `META`, with Python values."""
    documents = {name: from_attribute(kind, item[name]) for name, kind in _DOCUMENTS.items() if item.get(name)}
    fields = {name: item[name] for name in _SCALARS if name in item}
    if "rollback_execution" in item:  # its name in records of schema 1
        fields.setdefault("change_execution", item["rollback_execution"])
    fields["schema_number"] = int(item.get("schema", 1))
    return Incident(id=str(item["pk"]).removeprefix("INCIDENT#"), signals=summary_of(item), **fields, **documents)
