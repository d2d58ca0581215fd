"""Lambda functions run as on AWS: their errors, their packages, their concurrency, their triggers."""

from __future__ import annotations

import base64
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.stack.aws.conftest import Maker, archive, eventually, unique
from tests.support.patience import within

if TYPE_CHECKING:
    from local.aws.client import LocalAws


def invoke(aws: LocalAws, name: str, event: Any = None) -> tuple[str, Any]:
    """(FunctionError, payload)."""
    answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event or {}))
    return answer.get("FunctionError", ""), json.loads(answer["Payload"].read())


def test_given_an_exception_when_invoked_then_its_class_is_the_error_type_and_the_environment_stays_warm(
    aws: LocalAws, make: Maker
):
    name = make.function(
        "import os\nclass PoolExhausted(Exception): pass\n"
        "def handler(event, context):\n"
        "    if event.get('fail'): raise PoolExhausted('no block left')\n"
        "    return os.getpid()\n"
    )
    first = invoke(aws, name)[1]
    error, report = invoke(aws, name, {"fail": True})
    assert error == "Unhandled"
    assert (report["errorType"], report["errorMessage"]) == ("PoolExhausted", "no block left")
    assert "app.py" in "".join(report["stackTrace"])
    assert invoke(aws, name) == ("", first)


def test_given_a_layer_when_invoked_then_code_layer_and_sdk_are_there_and_nothing_of_the_server(
    aws: LocalAws, make: Maker
):
    layer = aws.client("lambda").publish_layer_version(
        LayerName=unique("layer"), Content={"ZipFile": archive(python__shared="VALUE = 7")}
    )
    name = make.function(
        "import importlib, os\n"
        "def handler(event, context):\n"
        "    found = {}\n"
        "    for name in ('shared', 'boto3', 'pydantic', 'moto', 'ip_remediator', 'worker'):\n"
        "        try: importlib.import_module(name); found[name] = True\n"
        "        except ImportError: found[name] = False\n"
        "    return [found, sorted(os.environ)]\n",
        layers=(layer["LayerVersionArn"],),
        Environment={"Variables": {"MODE": "auto"}},
    )
    result, environment = invoke(aws, name)[1]
    assert result == {
        "shared": True,
        "boto3": True,
        "pydantic": False,
        "moto": False,
        "ip_remediator": False,
        "worker": False,
    }
    assert "MODE" in environment
    assert not {"AUTH", "MOTO_ACCOUNT_ID", "PYTEST_CURRENT_TEST", "VIRTUAL_ENV"} & set(environment)


def test_given_a_missing_package_when_invoked_then_import_module_error(aws: LocalAws, make: Maker):
    error, report = invoke(aws, make.function("import nowhere_to_be_found\ndef handler(event, context): pass"))
    assert (error, report["errorType"]) == ("Unhandled", "Runtime.ImportModuleError")
    assert report["errorMessage"].startswith("Unable to import module 'app'")


def test_given_a_slow_function_when_its_time_is_over_then_timed_out_and_the_next_call_works(aws: LocalAws, make: Maker):
    name = make.function("import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n", Timeout=1)
    error, report = invoke(aws, name, {"s": 30})
    assert error == "Unhandled"
    assert "timed out after 1.00 seconds" in report["errorMessage"]
    assert invoke(aws, name) == ("", None)


def test_given_a_log_line_when_invoked_with_tail_then_it_belongs_to_its_own_invocation(aws: LocalAws, make: Maker):
    name = make.function("def handler(event, context): print('line', event['n'])")
    for number in (1, 2):
        answer = aws.client("lambda").invoke(FunctionName=name, Payload=json.dumps({"n": number}), LogType="Tail")
        log = base64.b64decode(answer["LogResult"]).decode()
        assert f"line {number}" in log
        assert f"line {3 - number}" not in log


def test_given_twenty_calls_at_once_when_invoked_then_each_has_an_environment_and_all_finish(
    aws: LocalAws, make: Maker
):
    code = f"import os, time\ndef handler(event, context):\n    time.sleep({within(0.5)})\n    return os.getpid()\n"
    name = make.function(code, Timeout=300)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: invoke(aws, name), range(20)))
    assert {error for error, _ in answers} == {""}
    # Clients start a little apart, so a few calls find an environment that is free again.
    assert len({pid for _, pid in answers}) >= 10


def test_given_a_function_when_it_calls_aws_then_its_role_decides(aws: LocalAws, make: Maker):
    table = unique("table")
    aws.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    arn = f"arn:aws:dynamodb:{aws.region}:000000000000:table/{table}"
    role = make.role({"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": arn})
    code = (
        "import boto3\nfrom botocore.exceptions import ClientError\n"
        "def handler(event, context):\n"
        "    db = boto3.client('dynamodb')\n"
        f"    db.put_item(TableName='{table}', Item={{'k': {{'S': 'a'}}}})\n"
        f"    try: db.scan(TableName='{table}')\n"
        "    except ClientError as error: return error.response['Error']['Code']\n"
    )
    assert invoke(aws, make.function(code, role=role, Timeout=20)) == ("", "AccessDeniedException")


def test_given_a_function_url_when_posted_to_then_the_event_has_format_two(aws: LocalAws, make: Maker):
    name = make.function(
        "import json\ndef handler(event, context): return {'statusCode': 201, 'body': json.dumps(event)}"
    )
    url = aws.client("lambda").create_function_url_config(FunctionName=name, AuthType="NONE")["FunctionUrl"]
    identifier = url.split("//")[1].split(".")[0]
    request = urllib.request.Request(
        f"{aws.endpoint}/_aws/lambda-url/{identifier}/slack/actions?a=1",
        data=b"payload=%7B%22x%22%3A1%7D",
        headers={"X-Slack-Signature": "v0=abc", "Content-Type": "application/x-www-form-urlencoded"},
    )
    with urllib.request.urlopen(request) as answer:
        event, status = json.load(answer), answer.status
    assert status == 201
    assert event["version"] == "2.0"
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"payload=%7B%22x%22%3A1%7D"
    assert event["headers"]["x-slack-signature"] == "v0=abc"
    assert event["rawPath"] == "/slack/actions"
    assert event["rawQueryString"] == "a=1"
    assert event["requestContext"]["http"]["method"] == "POST"


def queue(aws: LocalAws, **attributes: str) -> tuple[str, str]:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=unique("q"), Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def test_given_a_partial_failure_when_a_batch_is_handled_then_only_the_failed_message_reaches_the_dlq(
    aws: LocalAws, make: Maker
):
    sqs = aws.client("sqs")
    dead_url, dead_arn = queue(aws)
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, arn = queue(aws, RedrivePolicy=redrive, VisibilityTimeout="1")
    name = make.function(
        "def handler(event, context):\n"
        "    bad = [r['messageId'] for r in event['Records'] if r['body'] == 'bad']\n"
        "    return {'batchItemFailures': [{'itemIdentifier': one} for one in bad]}\n"
    )
    aws.client("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName=name, BatchSize=10, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    for body in ("good", "bad", "good"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    messages = eventually(lambda: sqs.receive_message(QueueUrl=dead_url).get("Messages"))
    assert [one["Body"] for one in messages] == ["bad"]

    def message_counts() -> list[str]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return list(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())

    eventually(lambda: message_counts() == ["0", "0"])


def test_given_a_stream_with_a_filter_when_items_change_then_the_matching_ones_arrive_within_half_a_second(
    aws: LocalAws, make: Maker
):
    dynamodb, table = aws.client("dynamodb"), unique("table")
    stream = dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]["LatestStreamArn"]
    url, _ = queue(aws)
    role = make.role({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"})
    name = make.function(
        "import boto3\nsqs = boto3.client('sqs')\n"
        "def handler(event, context):\n"
        "    for one in event['Records']:\n"
        f"        sqs.send_message(QueueUrl='{url}', MessageBody=one['dynamodb']['Keys']['k']['S'])\n",
        role=role,
        Timeout=20,
    )
    pattern = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["incident"]}}}}
    aws.client("lambda").create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName=name,
        StartingPosition="LATEST",
        FilterCriteria={"Filters": [{"Pattern": json.dumps(pattern)}]},
    )
    sqs = aws.client("sqs")

    def put(key: str, kind: str) -> None:
        dynamodb.put_item(TableName=table, Item={"k": {"S": key}, "kind": {"S": kind}})

    def arrived() -> Any:
        return sqs.receive_message(QueueUrl=url).get("Messages")

    put("cold", "incident")
    assert [one["Body"] for one in eventually(arrived)] == ["cold"]
    put("other", "lock")
    put("warm", "incident")
    assert [one["Body"] for one in eventually(arrived, seconds=0.5)] == ["warm"]
