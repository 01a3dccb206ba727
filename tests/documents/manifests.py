"""Checks what `kubectl kustomize` has made of docker/kubernetes, read from standard input.

Every object against the API's own schema, strictly; and what no schema knows: that selectors find
pods, that what is mounted is there, that probes name ports, and that the grace period holds the stop.
"""
import copy
import re
import sys

import kubernetes_validate
import yaml

VERSION = "1.34"
# Between the master's end and the kubelet's SIGKILL.
MARGIN = 5


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


def one(objects, kind):
    found = [thing for thing in objects if thing["kind"] == kind]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def check_references(objects):
    template = one(objects, "Deployment")["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    assert one(objects, "Service")["spec"]["selector"].items() <= labels
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert one(objects, kind)["spec"]["selector"]["matchLabels"].items() <= labels, kind
    target = one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target["name"] == one(objects, "Deployment")["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    config_map = one(objects, "ConfigMap")
    assert volumes["settings"]["configMap"]["name"] == config_map["metadata"]["name"]
    (container,) = template["spec"]["containers"]
    for mount in container["volumeMounts"]:
        assert mount["name"] in volumes and "subPath" not in mount, mount
    ports = {port["name"] for port in container["ports"]}
    assert container["readinessProbe"]["httpGet"]["port"] in ports
    assert {port["targetPort"] for port in one(objects, "Service")["spec"]["ports"]} <= ports


def check_stop(objects):
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    env = {item["name"]: item["value"] for item in container["env"]}
    needed = seconds(env["DUTCH_MASTER_SHUTDOWN_DELAY"]) + seconds(env["DUTCH_MASTER_STOP_TIMEOUT"])
    assert spec["terminationGracePeriodSeconds"] >= needed + MARGIN
    for name in env:
        assert name.removeprefix("DUTCH_MASTER_") in sys.argv[2].split(), f"{name}: no such setting"


def check_restricted(objects):
    """Pod Security Standards, the profile `restricted`."""
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    context = spec["containers"][0]["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]


def with_other_hook(deployment, page):
    """The same deployment with the hook that the page offers instead."""
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.S)
    (hook,) = [block for block in map(yaml.safe_load, blocks) if "lifecycle" in block]
    other = copy.deepcopy(deployment)
    other["spec"]["template"]["spec"]["containers"][0].update(hook)
    return other


def main():
    objects = list(yaml.safe_load_all(sys.stdin))
    with open(sys.argv[1], encoding="utf-8") as page:
        other = with_other_hook(one(objects, "Deployment"), page.read())
    for thing in [*objects, other]:
        kubernetes_validate.validate(thing, VERSION, strict=True)
    check_references(objects)
    check_stop(objects)
    check_restricted(objects)
    print(f"{len(objects) + 1} passed, 0 failed")


main()
