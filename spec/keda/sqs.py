"""What a sidecar does not do with SQS.

sqs.py URL key ACCOUNT             takes a role of that account, as KEDA does, and prints the access key that it gets
sqs.py URL send KEY QUEUE SECONDS  sends a message that is delayed for so long, with that access key
"""
import json
import sys
import urllib.parse
import urllib.request


def call(service, body, key, **headers):
    """Signed as far as the stand-in looks: it goes by the key, to which it has lent a role or not."""
    scope = f"{key}/20260101/us-east-1/{service}/aws4_request"
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    request = urllib.request.Request(sys.argv[1], body.encode(), {name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def sqs(action, key, **fields):
    return json.loads(call("sqs", json.dumps(fields), key, Content_Type="application/x-amz-json-1.0", X_Amz_Target="AmazonSQS." + action))


def take_role(account):
    role = {"Action": "AssumeRole", "Version": "2011-06-15", "RoleSessionName": "spec", "RoleArn": f"arn:aws:iam::{account}:role/count"}
    answer = call("sts", urllib.parse.urlencode(role), "id", Content_Type="application/x-www-form-urlencoded")
    return answer.split("<AccessKeyId>")[1].split("<")[0]


if sys.argv[2] == "key":
    print(take_role(sys.argv[3]))
else:
    _, _, _, own, name, seconds = sys.argv
    url = sqs("GetQueueUrl", own, QueueName=name)["QueueUrl"]
    sqs("SendMessage", own, QueueUrl=url, MessageBody="{}", DelaySeconds=int(seconds))
