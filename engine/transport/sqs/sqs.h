#pragma once
/**
 * sqs.h -- the formats of an SQS transport (AWS, or whatever speaks AWS JSON 1.0); the calls are transport.h's.
 *
 * config:
 *   region             "eu-central-1"; missing: AWS_REGION
 *   endpoint           "http://host:port" instead of AWS' own
 *   instanceMetadata   true: keys may come from the EC2 instance's role; aws_source.h names the other places
 *   accountId, actorRoleArn, visibilityTimeout, waitTimeSeconds, tags, credentials {accessKeyIdSecretRef, secretAccessKeySecretRef,
 *   sessionTokenSecretRef}, queues {autoCreate, forceRecreate, deletionPolicy, dlq {enabled, maxRetryCount, retentionDays}}:
 *                      checked here, used by others
 * secrets: accessKeyId, secretAccessKey, sessionToken.
 *
 * queue:
 *   name         of a standard queue; ".fifo" is refused
 *   create       true: make it and put right what differs; false: a queue that is missing or differs is an error
 *   attributes   {"VisibilityTimeout": "300", ...} as CreateQueue takes them; others of the queue stay as they are
 *   tags         {...}; others of the queue stay as they are. Not looked at without `create`, or without the right to
 *   deadLetter   {"name", "attributes", "tags", "maxReceiveCount": 3}: ensured first, shared by many queues, never deleted
 *   ifEmpty      true: AO_BROKER_DELETE answers -EBUSY when the queue holds messages (by AWS' approximate count)
 *                A MessageRetentionPeriod that is longer than the one here stays while there are messages: SQS would drop what is older (not of
 *                deadLetter)
 *                AO_BROKER_DELETE leaves a queue alone whose attributes are not those named here
 *   forceRecreate  accepted, but without effect: all of this can be changed in place
 *
 * MOVE and PEEK hide what they receive for as long as the call may take, at least 20 s: that long it is away when we are cut off.
 * A message that was moved has a new MessageId, is as old as the move, and its receives are counted anew.
 */
#include "transport/transport.h"
