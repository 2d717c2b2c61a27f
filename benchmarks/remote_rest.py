"""Removes what a remote run leaves: its objects in S3, its Jobs on Kubernetes, its definitions of AWS Batch.

Jobs and definitions carry the name of the user whose run they belong to, on either side: as label, annotation or tag.
"""

from __future__ import annotations

import json
import os
import subprocess


def remove_data(root: str) -> None:
    """Remove all objects below a URL."""
    import boto3

    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    objects = boto3.resource("s3", endpoint_url=os.environ.get("METAFLOW_S3_ENDPOINT_URL")).Bucket(bucket).objects
    objects.filter(Prefix=f"{prefix}/").delete()


def remove_jobs(user: str) -> None:
    """Remove the Jobs and job definitions of a user's runs."""
    if os.environ.get("KUBECONFIG"):
        _remove_from_kubernetes(user)
    if os.environ.get("METAFLOW_BATCH_JOB_QUEUE"):
        _remove_from_batch(user)


def _remove_from_kubernetes(user: str) -> None:
    kubectl = ("kubectl", "--namespace", os.environ.get("METAFLOW_KUBERNETES_NAMESPACE", "default"))
    listed = subprocess.run((*kubectl, "get", "jobs", "-o", "json"), capture_output=True, text=True, check=True)
    jobs = json.loads(listed.stdout)["items"]
    names = [job["metadata"]["name"] for job in jobs if user in json.dumps(job["metadata"])]
    if names:
        subprocess.run((*kubectl, "delete", "jobs", "--wait=false", *names), capture_output=True, check=True)


def _remove_from_batch(user: str) -> None:
    import boto3

    client = boto3.client("batch")
    for page in client.get_paginator("describe_job_definitions").paginate(status="ACTIVE"):
        for definition in page["jobDefinitions"]:
            if user in json.dumps(definition):
                client.deregister_job_definition(jobDefinition=definition["jobDefinitionArn"])
