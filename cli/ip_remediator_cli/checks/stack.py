"""Checks of a deployed stack: its state machines, its queue, Slack, the clock."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import urllib3

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.secrets import SecretUnusable, SlackSecret, read_slack_secret
from ip_remediator.common.clock import utc_now
from ip_remediator.common.errors import NotFound, PermissionDenied
from ip_remediator.common.text import counted
from ip_remediator_cli.aws import Aws, Deployment
from ip_remediator_cli.checks.finding import Finding

_MACHINES = ("RemediationStateMachineArn", "RollbackStateMachineArn", "ReplacementStateMachineArn")
_SCOPES = {"chat:write", "usergroups:read"}
_CLOCK_SECONDS = 120  # Slack refuses, and is refused, at five minutes
_SIGNAL_SECONDS = 60.0
_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_TEST_SIGNAL = {"source": "eks-ip-remediator.doctor", "detail-type": "Test", "detail": {}}


@dataclass(frozen=True)
class StackDoctor:
    """Raises the errors of `common.errors` and of boto3; the caller makes findings of them."""

    aws: Aws
    deployment: Deployment
    slack_url: str | None = None
    sleep: Callable[[float], None] = time.sleep

    def checks(self) -> dict[str, Callable[[], Finding]]:
        """The checks of a stack by their names, in the order in which they run."""
        return {
            "caller": self._caller,
            "state machines": self.state_machines,
            "signals": self._signals,
            "dead letters": self._dead_letters,
            "clock": self._clock,
            "slack secret": self._secret,
            "slack token": self._token,
            "slack endpoint": self.slack_endpoint,
        }

    def _caller(self) -> Finding:
        account, arn = self.aws.caller()
        return Finding.ok(f"{arn} in account {account}")

    def state_machines(self) -> Finding:
        """Whether the three state machines exist. Raises the errors of `aws_call`."""
        sfn = self.aws.client("stepfunctions")
        for name in _MACHINES:
            with aws_call("DescribeStateMachine"):
                sfn.describe_state_machine(stateMachineArn=self.deployment.output(name))
        return Finding.ok("the three state machines exist")

    def _signals(self) -> Finding:
        """Sends a signal that is counted and dropped, and waits until the queue is empty again."""
        sqs, url = self.aws.client("sqs"), self.deployment.output("SignalsQueueUrl")
        before = self._depth("SignalsDeadLetterQueueUrl")
        try:
            with aws_call("SendMessage"):
                sqs.send_message(QueueUrl=url, MessageBody=json.dumps(_TEST_SIGNAL))
        except PermissionDenied:
            return Finding.unknown(
                "you are not allowed to send a test signal",
                "needs sqs:SendMessage on the queue of signals, for this check only",
            )
        deadline = time.monotonic() + _SIGNAL_SECONDS
        while self._depth("SignalsQueueUrl"):
            if time.monotonic() > deadline:
                return Finding.broken(
                    f"a test signal was not read within {_SIGNAL_SECONDS:.0f} s", "see the log of the function ingest"
                )
            self.sleep(1)
        if self._depth("SignalsDeadLetterQueueUrl") > before:
            return Finding.broken("a test signal became a dead letter", "see the log of the function ingest")
        return Finding.ok("a test signal was read, counted and dropped")

    def _dead_letters(self) -> Finding:
        count = self._depth("SignalsDeadLetterQueueUrl")
        if not count:
            return Finding.ok("there are none")
        return Finding.doubtful(
            f"{counted(count, 'message')} could not be processed", "operations-reference.md, dead letters"
        )

    def _depth(self, output: str) -> int:
        """Messages that wait or are being processed."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with aws_call("GetQueueAttributes"):
            answer = self.aws.client("sqs").get_queue_attributes(
                QueueUrl=self.deployment.output(output), AttributeNames=names
            )
        return sum(int(answer["Attributes"].get(name, 0)) for name in names)

    def _clock(self) -> Finding:
        with aws_call("GetCallerIdentity"):
            answer = self.aws.client("sts").get_caller_identity()
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if not date:
            return Finding.unknown("the answer of AWS has no time")
        apart = abs((utc_now() - parsedate_to_datetime(date)).total_seconds())
        if apart > _CLOCK_SECONDS:
            return Finding.doubtful(f"this machine's clock differs from AWS by {apart:.0f} s", "set its clock")
        return Finding.ok(f"the difference to AWS is {apart:.0f} s")

    @cached_property
    def _slack(self) -> tuple[SlackSecret, str]:
        """The secret and Slack's API URL, as the deployed function has them."""
        with aws_call("GetFunctionConfiguration"):
            name = f"{self.deployment.stack}-notify"
            configuration = self.aws.client("lambda").get_function_configuration(FunctionName=name)
        variables = configuration["Environment"]["Variables"]
        return read_slack_secret(self.aws.client("ssm"), variables["SLACK_SECRET"]), variables["SLACK_API_URL"]

    def _secret(self) -> Finding:
        try:
            _ = self._slack
        except NotFound as error:
            return Finding.broken(str(error), "store the secret as README.md says, step 2")
        except SecretUnusable as error:
            return Finding.broken("the secret is not usable", str(error))
        except PermissionDenied as error:
            return Finding.unknown(f"you may not read it: {error}")
        return Finding.ok("bot token and signing secret are there")

    def _token(self) -> Finding:
        secret, api_url = self._slack
        answer = urllib3.request(
            "POST", f"{api_url}auth.test", headers={"Authorization": f"Bearer {secret.bot_token}"}, timeout=_TIMEOUT
        )
        document: dict[str, Any] = answer.json()
        if not document.get("ok"):
            return Finding.broken(
                f"Slack refuses the bot token: {document.get('error')}",
                "install the app again, and store its new bot token",
            )
        scopes = {scope.strip() for scope in answer.headers.get("x-oauth-scopes", "").split(",")} - {""}
        missing = sorted(_SCOPES - scopes)
        if scopes and missing:
            return Finding.doubtful(
                f"the app lacks the scopes {', '.join(missing)}", "add them as in slack/manifest.yaml, install it again"
            )
        return Finding.ok(f"{document.get('user')} in workspace {document.get('team')}")

    def slack_endpoint(self) -> Finding:
        """A signed request that means nothing must be acknowledged, an unsigned one refused."""
        url = self.slack_url or self.deployment.outputs.get("SlackRequestUrl")
        if not url:
            return Finding.ok("SlackEndpoint is none: answer with `ip-remediator approve`")
        secret, _ = self._slack
        signed, unsigned = self._post(url, secret.signing_secret), self._post(url, "wrong")
        if signed != 200:
            return Finding.broken(
                f"a signed request got status {signed}", "see the log of the function slack, and the URL in Slack's app"
            )
        if unsigned != 401:
            return Finding.broken(f"a request with a wrong signature got status {unsigned} instead of 401")
        return Finding.ok("a signed request is acknowledged, a wrong signature refused")

    def _post(self, url: str, signing_secret: str) -> int:
        body, now = urlencode({"payload": json.dumps({"type": "view_closed"})}), str(int(time.time()))
        digest = hmac.new(signing_secret.encode(), f"v0:{now}:{body}".encode(), hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": now,
            "X-Slack-Signature": f"v0={digest}",
        }
        return int(urllib3.request("POST", url, body=body, headers=headers, timeout=_TIMEOUT, retries=1).status)
