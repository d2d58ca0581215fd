"""Who may do what: tokens, the token webhook, RBAC, and the words of a refusal."""

from __future__ import annotations

import uuid

import pytest
from kubernetes import client

from tests.stack.kubernetes.support import (
    ADMIN,
    GROUP,
    OUTSIDER,
    READER,
    WEBHOOK_TOKEN,
    eventually,
    pod,
)

RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def rbac(cluster):
    return client.RbacAuthorizationV1Api(cluster.api())


@pytest.fixture
def role(rbac):
    """A function that lets a group follow rules everywhere; taken back after the test."""
    made = []

    def grant(group, *rules):
        name = f"role-{uuid.uuid4().hex[:8]}"
        rbac.create_cluster_role({"metadata": {"name": name}, "rules": list(rules)})
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        subjects = [{"kind": "Group", "apiGroup": RBAC, "name": group}]
        rbac.create_cluster_role_binding({"metadata": {"name": name}, "roleRef": reference, "subjects": subjects})
        made.append(name)

    yield grant
    for name in made:
        rbac.delete_cluster_role_binding(name)
        rbac.delete_cluster_role(name)


def rule(verbs, resources, groups=("",), **more):
    return {"apiGroups": list(groups), "resources": resources, "verbs": verbs, **more}


def code(cluster, method, path, body=None, token=READER):
    return cluster.request(method, path, body, token=token).status_code


def granted(cluster, path, token=READER):
    """Roles take a moment to reach a real server's authorizer."""
    eventually(lambda: code(cluster, "GET", path, token=token) != 403)


def test_a_token_nobody_knows_is_unauthorized(cluster):
    answer = cluster.request("GET", "/api/v1/pods", token="nobody")

    status = answer.json()
    assert (answer.status_code, status["reason"], status["message"]) == (401, "Unauthorized", "Unauthorized")


def test_no_token_is_the_anonymous_user(cluster):
    answer = cluster.request("GET", "/api/v1/namespaces/default/pods", token="")

    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")
    assert answer.json()["message"] == (
        'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group "" '
        'in the namespace "default"'
    )
    assert answer.json()["details"] == {"kind": "pods"}


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "GET",
            "/api/v1/nodes/n",
            'nodes "n" is forbidden: User "outsider" cannot get resource "nodes" in API group "" at the cluster scope',
        ),
        (
            "GET",
            f"/apis/{GROUP}/v1alpha1/eniconfigs?watch=true",
            f'eniconfigs.{GROUP} is forbidden: User "outsider" cannot watch resource "eniconfigs" '
            f'in API group "{GROUP}" at the cluster scope',
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node",
            'daemonsets.apps "aws-node" is forbidden: User "outsider" cannot patch resource "daemonsets" '
            'in API group "apps" in the namespace "kube-system"',
        ),
        (
            "POST",
            "/api/v1/namespaces/default/pods/p/eviction",
            'pods "p" is forbidden: User "outsider" cannot create resource "pods/eviction" in API group "" '
            'in the namespace "default"',
        ),
        (
            "DELETE",
            "/api/v1/namespaces/default/pods",
            'pods is forbidden: User "outsider" cannot deletecollection resource "pods" in API group "" '
            'in the namespace "default"',
        ),
        ("GET", "/metrics", 'forbidden: User "outsider" cannot get path "/metrics"'),
    ],
)
def test_a_refusal_names_user_verb_resource_and_scope(cluster, method, path, message):
    body = {} if method in ("PATCH", "POST") else None

    answer = cluster.request(method, path, body, token=OUTSIDER, content_type="application/merge-patch+json")

    assert (answer.status_code, answer.json()["message"]) == (403, message)


def test_what_is_not_there_is_forbidden_before_it_is_not_found(cluster):
    assert code(cluster, "GET", "/api/v1/namespaces/nowhere/pods/ghost", token=OUTSIDER) == 403
    assert code(cluster, "GET", "/apis/nope.example.com/v1/things", token=OUTSIDER) == 403


def test_a_cluster_role_allows_its_verbs_and_resources_only(cluster, core, role, namespace):
    core.create_namespaced_pod(namespace, pod("a"))
    role("readers", rule(["get", "list"], ["pods"]))
    pods = f"/api/v1/namespaces/{namespace}/pods"
    granted(cluster, pods)

    assert code(cluster, "GET", f"{pods}/a") == 200
    assert code(cluster, "GET", "/api/v1/pods") == 200
    assert code(cluster, "GET", f"{pods}?watch=true") == 403
    assert code(cluster, "DELETE", f"{pods}/a") == 403
    assert code(cluster, "GET", f"{pods}/a/status") == 403
    assert code(cluster, "GET", f"/api/v1/namespaces/{namespace}/events") == 403
    assert code(cluster, "GET", pods, token=OUTSIDER) == 403


def test_a_role_binding_reaches_its_namespace_alone(cluster, rbac, namespace):
    rbac.create_namespaced_role(namespace, {"metadata": {"name": "r"}, "rules": [rule(["list"], ["pods"])]})
    rbac.create_namespaced_role_binding(
        namespace,
        {
            "metadata": {"name": "r"},
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "apiGroup": RBAC, "name": "reader"}],
        },
    )
    granted(cluster, f"/api/v1/namespaces/{namespace}/pods")

    assert code(cluster, "GET", "/api/v1/namespaces/default/pods") == 403
    assert code(cluster, "GET", "/api/v1/pods") == 403


def test_resource_names_narrow_a_rule(cluster, core, role, namespace):
    for name in ("aws-node", "other"):
        core.create_namespaced_config_map(namespace, {"metadata": {"name": name}})
    role("readers", rule(["get"], ["configmaps"], resourceNames=["aws-node"]))
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    granted(cluster, f"{path}/aws-node")

    assert code(cluster, "GET", f"{path}/other") == 403
    assert code(cluster, "GET", path) == 403


def test_a_list_or_watch_of_one_name_is_allowed_by_that_name(cluster, core, role, namespace):
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "aws-node"}})
    role("readers", rule(["get", "list", "watch"], ["configmaps"], resourceNames=["aws-node"]))
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    granted(cluster, f"{path}/aws-node")

    for query in ("", "watch=true&timeoutSeconds=1&"):
        assert code(cluster, "GET", f"{path}?{query}fieldSelector=metadata.name%3Daws-node") == 200
        assert code(cluster, "GET", f"{path}?{query}fieldSelector=metadata.name%3Dother") == 403
        assert code(cluster, "GET", f"{path}?{query}fieldSelector=metadata.name%21%3Daws-node") == 403


def test_a_subresource_is_a_right_of_its_own(cluster, core, role, namespace):
    core.create_namespaced_pod(namespace, pod("a"))
    role("readers", rule(["create"], ["pods/eviction"]), rule(["get"], ["pods"]))
    granted(cluster, f"/api/v1/namespaces/{namespace}/pods/a")
    body = {"apiVersion": f"policy/{cluster.policy}", "kind": "Eviction", "metadata": {"name": "a"}}

    assert code(cluster, "DELETE", f"/api/v1/namespaces/{namespace}/pods/a") == 403
    assert code(cluster, "POST", f"/api/v1/namespaces/{namespace}/pods/a/eviction", body) == 201


def test_anyone_may_see_health_and_version_and_only_users_discovery(cluster):
    for path in ("/healthz", "/livez", "/readyz", "/version"):
        assert code(cluster, "GET", path, token="") == 200
    for path in ("/api", "/apis", "/api/v1", "/apis/apps/v1"):
        assert (code(cluster, "GET", path, token=""), code(cluster, "GET", path, token=OUTSIDER)) == (403, 200)


def test_a_users_own_rights_can_be_asked_for(cluster, role):
    role("readers", rule(["patch"], ["daemonsets"], ["apps"]))
    reviews = client.AuthorizationV1Api(cluster.api(READER))

    def allowed(verb):
        attributes = {"group": "apps", "resource": "daemonsets", "verb": verb, "namespace": "kube-system"}
        review = {"spec": {"resourceAttributes": attributes}}
        return reviews.create_self_subject_access_review(review).status.allowed

    eventually(lambda: allowed("patch"))
    assert not allowed("delete")


def test_an_administrator_may_act_as_somebody_else(cluster, role):
    role("readers", rule(["list"], ["pods"]))
    granted(cluster, "/api/v1/pods")
    as_reader = {"Impersonate-User": "someone", "Impersonate-Group": "readers"}

    assert cluster.request("GET", "/api/v1/pods", **as_reader).status_code == 200
    refused_read = cluster.request("GET", "/api/v1/nodes", **as_reader)
    refused_act = cluster.request("GET", "/api/v1/pods", token=READER, **as_reader)

    assert 'User "someone" cannot list resource "nodes"' in refused_read.json()["message"]
    assert refused_act.json()["message"] == (
        'users "someone" is forbidden: User "reader" cannot impersonate resource "users" '
        'in API group "" at the cluster scope'
    )


def test_the_webhook_turns_a_token_into_a_user_with_groups(cluster, role):
    role("remediators", rule(["list"], ["nodes"]))
    granted(cluster, "/api/v1/nodes", token=WEBHOOK_TOKEN)

    answer = cluster.request("GET", "/api/v1/pods", token=WEBHOOK_TOKEN)

    assert answer.status_code == 403
    assert 'User "arn:aws:sts::1:assumed-role/r/s" cannot list resource "pods"' in answer.json()["message"]
    assert cluster.webhook.reviews[-1]["kind"] == "TokenReview"
    assert cluster.webhook.reviews[-1]["apiVersion"] == "authentication.k8s.io/v1"


def test_the_webhook_is_asked_once_for_a_burst_and_never_for_static_tokens(cluster):
    token = f"k8s-aws-v1.{uuid.uuid4().hex}"
    for _ in range(3):
        assert code(cluster, "GET", "/api/v1/nodes", token=token) == 401
    assert code(cluster, "GET", "/api/v1/nodes", token=ADMIN) == 200

    asked = [review["spec"]["token"] for review in cluster.webhook.reviews]

    assert asked.count(token) <= 3
    assert ADMIN not in asked


def test_rules_must_say_what_they_are_about(rbac):
    with pytest.raises(client.ApiException) as caught:
        rbac.create_cluster_role({"metadata": {"name": "bad"}, "rules": [{"resources": ["pods"], "verbs": ["get"]}]})

    assert caught.value.status == 422
    assert "resource rules must supply at least one api group" in caught.value.body


def test_a_binding_keeps_its_role(rbac):
    name = f"b-{uuid.uuid4().hex[:8]}"
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
    rbac.create_cluster_role_binding({"metadata": {"name": name}, "roleRef": reference})

    with pytest.raises(client.ApiException) as caught:
        rbac.patch_cluster_role_binding(name, {"roleRef": {**reference, "name": "cluster-admin"}})

    assert caught.value.status == 422
    assert "cannot change roleRef" in caught.value.body


def token_review(cluster, reviewed, **more):
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": reviewed}}
    return cluster.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body, **more)


@pytest.mark.parametrize(
    ("token", "name", "group"),
    [
        (READER, "reader", "readers"),
        (WEBHOOK_TOKEN, "arn:aws:sts::1:assumed-role/r/s", "remediators"),
    ],
)
def test_a_token_review_tells_whose_a_token_is(cluster, token, name, group):
    answer = token_review(cluster, token)

    status = answer.json()["status"]
    assert (answer.status_code, status["authenticated"], status["user"]["username"]) == (201, True, name)
    assert {group, "system:authenticated"} <= set(status["user"]["groups"])


def test_a_token_review_of_a_wrong_token_says_so_and_is_no_error(cluster):
    answer = token_review(cluster, "nobody")

    status = answer.json()["status"]
    assert (answer.status_code, status.get("authenticated", False), status["error"]) == (
        201,
        False,
        "invalid bearer token",
    )
    assert token_review(cluster, "").status_code == 400
    assert token_review(cluster, ADMIN, token=OUTSIDER).status_code == 403


def test_a_service_account_gets_a_token_and_acts_with_it(cluster, core, rbac, namespace):
    account = core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
    subjects = [{"kind": "ServiceAccount", "name": "robot", "namespace": namespace}]
    rbac.create_namespaced_role(namespace, {"metadata": {"name": "r"}, "rules": [rule(["list"], ["pods"])]})
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "r"}
    body = {"metadata": {"name": "r"}, "roleRef": reference, "subjects": subjects}
    rbac.create_namespaced_role_binding(namespace, body)

    token = cluster.kubectl("create", "token", "robot", f"--namespace={namespace}", "--duration=20m").strip()

    granted(cluster, f"/api/v1/namespaces/{namespace}/pods", token)
    assert code(cluster, "GET", "/api/v1/namespaces/default/pods", token=token) == 403
    user = token_review(cluster, token).json()["status"]["user"]
    assert (user["username"], user["uid"]) == (f"system:serviceaccount:{namespace}:robot", account.metadata.uid)
    assert {"system:serviceaccounts", f"system:serviceaccounts:{namespace}"} <= set(user["groups"])

    core.delete_namespaced_service_account("robot", namespace)
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
    eventually(lambda: code(cluster, "GET", f"/api/v1/namespaces/{namespace}/pods", token=token) == 401, 30)


def test_a_token_for_another_audience_or_of_a_moment_is_not_given_or_not_taken(cluster, core, namespace):
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "robot"}})
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/robot/token"

    def requested(**spec):
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return cluster.request("POST", path, body)

    foreign = requested(audiences=["vault"]).json()["status"]["token"]
    brief = requested(expirationSeconds=5)

    assert code(cluster, "GET", "/version", token=foreign) == 401
    assert brief.json()["details"]["causes"][0]["field"] == "spec.expirationSeconds"


def test_others_rights_can_be_asked_for_by_who_may_ask(cluster, role):
    role("readers", rule(["patch"], ["daemonsets"], ["apps"]))
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

    def review(**spec):
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return cluster.request("POST", path, body)

    attributes = {"group": "apps", "resource": "daemonsets", "verb": "patch"}
    eventually(lambda: review(user="x", groups=["readers"], resourceAttributes=attributes).json()["status"]["allowed"])

    denied = review(user="x", groups=["others"], resourceAttributes=attributes)
    assert not denied.json()["status"]["allowed"]
    assert review(resourceAttributes=attributes).status_code == 422
    assert cluster.request("POST", path, {}, token=READER).status_code == 403


@pytest.mark.parametrize(("name", "reads_secrets", "writes"), [("view", 403, 403), ("edit", 200, 201)])
def test_the_roles_that_people_bind_are_there(cluster, rbac, namespace, name, reads_secrets, writes):
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    subjects = [{"kind": "User", "apiGroup": RBAC, "name": "reader"}]
    body = {"metadata": {"name": name}, "roleRef": reference, "subjects": subjects}
    rbac.create_namespaced_role_binding(namespace, body)
    path = f"/api/v1/namespaces/{namespace}"
    if cluster.kind == "real":
        pytest.skip("the real server's view and edit are filled in by a controller of kube-controller-manager")
    granted(cluster, f"{path}/pods")

    assert code(cluster, "GET", f"{path}/secrets") == reads_secrets
    assert code(cluster, "POST", f"{path}/configmaps", {"metadata": {"name": "a"}}) == writes
