"""Deploying as the README tells it: `sam deploy --guided`, with return pressed at every question but the last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import deployment
from local.stack.deployment import ROOT, SECRET_PARAMETER, STACK_NAME
from local.stack.ports import Ports
from local.stack.servers import BOT_TOKEN
from local.stack.stack import Stack
from tests.integration.support.parameters import parameters
from tests.integration.support.terminal import guided

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The servers, with the secret in place; nothing is deployed yet."""
    with Stack(tmp_path, Ports.free()) as made:
        made.servers.start()
        deployment.build()
        ssm: Any = made.servers.client("ssm")
        secret = json.dumps({"bot_token": BOT_TOKEN, "signing_secret": made.servers.signing_secret})
        ssm.put_parameter(Name=SECRET_PARAMETER, Type="SecureString", Value=secret)
        yield made


def test_given_the_readme_when_deployed_guided_then_return_answers_every_question_but_the_last(stack: Stack) -> None:
    configuration = stack.folder / "samconfig.toml"
    shutil.copy(ROOT / "samconfig.toml", configuration)
    answers = {"Parameter SlackApiUrl": f"{stack.servers.slack_url}/api/", "Deploy this changeset?": "y"}

    dialogue = guided(configuration, stack.servers.environment, answers)

    assert dialogue.status == 0, dialogue.text[-3000:]
    assert dialogue.asked == [
        *("Stack Name", "AWS Region"),
        *(f"Parameter {name}" for name in parameters()),
        *("Confirm changes before deploy", "Allow SAM CLI IAM role creation", "Disable rollback"),
        *("Save arguments to configuration file", "SAM configuration file", "SAM configuration environment"),
        "Deploy this changeset?",
    ]
    cloudformation: Any = stack.servers.client("cloudformation")
    [described] = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    assert described["StackStatus"] == "CREATE_COMPLETE"
    assert 'SlackEndpoint=\\"function-url\\"' in configuration.read_text()
