"""Whose clicks count, and where: users, user groups and channels."""

from __future__ import annotations

import pytest

from ip_remediator.clients.slack.client import SlackUnavailable, UserGroups, web_client
from ip_remediator.slack_interactions.access import Access
from ip_remediator.slack_interactions.requests import Click
from tests.stack.slack.harness import BOT_TOKEN, ON_CALL, VIEWER, Slack

GROUP, OTHER_GROUP, BROKEN_GROUP = "S0000ONCALL", "S0000OTHER", "S000BROKEN"


def click(user: str = "U1", channel: str = "C1") -> Click:
    return Click("approve", "question", "offer", user, "ada", channel, "https://hooks.slack.com/1", "1.2.abc")


def members(group: str) -> frozenset[str]:
    if group == BROKEN_GROUP:
        raise SlackUnavailable("ratelimited")
    return {GROUP: frozenset({"U1", "U2"}), OTHER_GROUP: frozenset({"U3"})}[group]


def refusal(users: str = "any", channels: str = "any", user: str = "U1", channel: str = "C1") -> str | None:
    return Access(users, channels, members).refusal(click(user, channel))


@pytest.mark.parametrize("users", ["any", "U1", "U9, U1", GROUP, f"U9,{OTHER_GROUP} , {GROUP}"])
def test_who_is_listed_or_in_a_listed_group_may_decide(users: str):
    assert refusal(users=users) is None


@pytest.mark.parametrize("users", ["U9", "U11", OTHER_GROUP, f"U9, {OTHER_GROUP}"])
def test_others_are_refused(users: str):
    assert "not among the people who may decide" in str(refusal(users=users))


@pytest.mark.parametrize(("channels", "counts"), [("any", True), ("C1", True), ("C2, C1", True), ("C2", False)])
def test_clicks_count_only_in_listed_channels(channels: str, counts: bool):
    assert (refusal(channels=channels) is None) == counts


def test_a_request_that_names_no_channel_counts_only_where_any_does():
    assert refusal(channel="") is None
    assert refusal(channels="C1", channel="") is not None


def test_a_group_that_cannot_be_resolved_refuses_and_says_why():
    reply = refusal(users=f"{BROKEN_GROUP}, {OTHER_GROUP}")

    assert reply == f"We could not check whether you may decide, so nothing was changed: {BROKEN_GROUP}: ratelimited."


def test_a_group_that_cannot_be_resolved_does_not_keep_out_who_may_decide_without_it():
    assert refusal(users=f"{BROKEN_GROUP}, {GROUP}") is None
    assert refusal(users=f"{BROKEN_GROUP}, U1") is None


def calls(slack: Slack) -> int:
    return sum(call["method"] == "usergroups.users.list" for call in slack.calls())


def test_members_are_asked_for_once_in_five_minutes(slack: Slack):
    now = [1000.0]
    groups = UserGroups(web_client(BOT_TOKEN, f"{slack.url}/api/"), lambda: now[0])
    before = calls(slack)

    for now[0] in (1000.0, 1299.0):
        assert ON_CALL in groups.members(GROUP)
        assert VIEWER not in groups.members(GROUP)
    assert calls(slack) == before + 1

    now[0] = 1301.0
    assert ON_CALL in groups.members(GROUP)
    assert calls(slack) == before + 2


def test_members_that_are_out_of_date_are_not_relied_on(slack: Slack):
    now = [1000.0]
    groups = UserGroups(web_client(BOT_TOKEN, f"{slack.url}/api/"), lambda: now[0])
    groups.members(GROUP)
    slack.fault(method="usergroups.users.list", error="fatal_error")

    now[0] = 1301.0
    with pytest.raises(SlackUnavailable, match="fatal_error"):
        groups.members(GROUP)


def test_a_group_that_does_not_exist_is_told_with_the_remedy(slack: Slack):
    groups = UserGroups(web_client(BOT_TOKEN, f"{slack.url}/api/"))

    with pytest.raises(SlackUnavailable, match="no user group has this id"):
        groups.members("S0NOBODY")
