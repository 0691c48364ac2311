---@meta
--- types: what an editor knows of the arguments of hooks. Nothing loads this file; `lua5.4 spec/sdk/types.lua > lua/asya/types.lua` writes it.
-- luacheck: ignore

---@type Log
log = {}

---@class ObjectMeta
---@field name string
---@field namespace string
---@field uid string?
---@field generation integer?
---@field labels table<string, string>?
---@field annotations table<string, string>?
---@field creationTimestamp string?
---@field deletionTimestamp string?

---@class Outcome
---@field errors table[] { verb, kind, name, message }
---@field changed table[]
---@field invalid Invalid?
---@field refused table[]? { role, kind, name, policy, path, message, reason, condition }
---@field waits table[]? { role, kind, name, policy, message }: what must be ready before more is made
---@field outdated table[]? { role, kind, name, message }: children that are not as the plan wants them yet
---@field finalize { message: string, deadline: string }? what policies wait for before an actor that is being deleted goes
---@field generation integer?
---@field bundle_digest string?
---@field settled_digest string?

---@class Context what a hook may know
---@field params table the parameters of the policy, with their defaults
---@field settings Settings the settings of the operator
---@field profile string? the release of the platform that the actor is for
---@field children table[] the observed objects that the actor owns
---@field child fun(kind: string, name: string, namespace: string?): table? finds one of them
---@field related table[] the observed pods and autoscalers of the actor; the plan is made again when they change
---@field queues table<string, table> what brokers say about its queues; the plan is made again when that changes
---@field absent string[] kinds that the cluster does not know
---@field outcome Outcome in the hook status: what the last pass did
---@field now string the time, RFC 3339; the plan is made again with each pass

---@class Settings
---@field credentialsNamespace string? Profile 0.4: the namespace of the Secrets that transports name; each actor gets a copy of what it needs.
---@field disableQueueManagement string? Exactly "true": queues are never created, repaired or deleted.
---@field gatewayURL string? Gateway that sidecars report to; wins over the one on the runtime container.
---@field namespaceProfiles table? What namespaces say with the annotation asya.sh/profile: the profile of their actors, {NAMESPACE: PROFILE}.
---@field operator table? Older spelling in configuration files: transports is laid over operator.transports.
---@field profile string? The release of the platform whose names actors have: 0.1 or 0.4. The annotation asya.sh/profile on an actor, or on its namespace, wins.
---@field runtimeCAFile string? File with CAs to trust beside those of the system when the release is fetched.
---@field runtimeChecksum string? SHA-256 that the file of the release must have.
---@field runtimeGitHub string? GitHub, GitHub Enterprise, or a mirror with the same paths.
---@field runtimeGitHubAPI string? API of that host, where a token opens private repositories; for GitHub Enterprise https://HOST/api/v3.
---@field runtimeNamespace string? Namespace that holds the runtime ConfigMap even without actors.
---@field runtimeRepo string? owner/name of the repository whose release holds asya_runtime.py.
---@field runtimeScript string|false? File that replaces the runtime script that comes with the policies; watched.
---@field runtimeSource string? Where the runtime script comes from: local (runtimeScript, or the one that comes with the policies) or github (a release).
---@field runtimeTokenFile string? File with a token for runtimeGitHub; without it the variable ASYA_RUNTIME_GITHUB_TOKEN, if it is set.
---@field runtimeVersion string? The release, for example v1.0.0; fetched once, because a release does not change.
---@field sidecarImage string? Sidecar image of actors that do not name one.
---@field sidecarResources table? Resources of sidecars whose actor sets none: {limits, requests}.
---@field transports table? The transport registry: {"transports": {NAME: {type, enabled, config}}}; null is as good as absent.

---@class AsyncActorSpecScalingAdditionalTriggersAuthenticationRef
---@field kind 'TriggerAuthentication'|'ClusterTriggerAuthentication'? ClusterTriggerAuthentication only where the operator's configuration allows it.
---@field name string Name of a TriggerAuthentication in the namespace of the actor.

---@class AsyncActorSpecScalingAdditionalTriggers
---@field authenticationRef AsyncActorSpecScalingAdditionalTriggersAuthenticationRef? Where the scaler gets its credentials.
---@field metadata table<string, string>? What that scaler wants to know. KEDA's documentation of it lists the keys.
---@field metricType 'AverageValue'|'Value'|'Utilization'? How the trigger's target is meant.
---@field name string Name by which a formula knows the trigger.
---@field type string Type of one of KEDA's scalers, as cron or prometheus.
---@field useCachedMetrics boolean? Let the autoscaler have the number of KEDA's last look.

---@class AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleDownPolicies
---@field periodSeconds integer Seconds of a period.
---@field type 'Pods'|'Percent' What the value counts.
---@field value integer Pods, or percent of them, that may come or go in a period.

---@class AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleDown
---@field policies AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleDownPolicies[]? How much may change in a period. The operator's own when absent.
---@field selectPolicy 'Max'|'Min'|'Disabled'? Which of several policies counts.
---@field stabilizationWindowSeconds integer? Seconds over which the autoscaler looks back, so that it follows no short lull.
---@field tolerance integer|string? Share by which the metric may differ from its target before anything happens. Needs KEDA 2.18.

---@class AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleUpPolicies
---@field periodSeconds integer Seconds of a period.
---@field type 'Pods'|'Percent' What the value counts.
---@field value integer Pods, or percent of them, that may come or go in a period.

---@class AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleUp
---@field policies AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleUpPolicies[]? How much may change in a period. The operator's own when absent.
---@field selectPolicy 'Max'|'Min'|'Disabled'? Which of several policies counts.
---@field stabilizationWindowSeconds integer? Seconds over which the autoscaler looks back, so that it follows no short peak.
---@field tolerance integer|string? Share by which the metric may differ from its target before anything happens. Needs KEDA 2.18.

---@class AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehavior
---@field scaleDown AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleDown? How replicas go.
---@field scaleUp AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehaviorScaleUp? How replicas come.

---@class AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfig
---@field behavior AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfigBehavior? How fast replicas come and go. What is absent is as the operator's configuration says.
---@field name string? Name of the autoscaler. keda-hpa-<name of the actor> when absent.

---@class AsyncActorSpecScalingAdvanced
---@field activationTarget string? Value of the formula above which the first replica starts.
---@field formula string? Expression over the metrics of the triggers by their names. That of the queue is called queue.
---@field horizontalPodAutoscalerConfig AsyncActorSpecScalingAdvancedHorizontalPodAutoscalerConfig? The autoscaler that KEDA makes.
---@field metricType 'AverageValue'|'Value'|'Utilization'? How the target is meant. KEDA accepts no Utilization here.
---@field restoreToOriginalReplicaCount boolean? Go back to the former number of replicas when scaling is switched off.
---@field target string? Value of the formula that one replica should bear.

---@class AsyncActorSpecScalingFallback
---@field behavior 'static'|'currentReplicas'|'currentReplicasIfHigher'|'currentReplicasIfLower'|'scalingModifiers'? Whether those replicas count always, or only beside the present ones. Needs KEDA 2.17, scalingModifiers 2.20.
---@field failureThreshold integer Failures in a row after which it holds.
---@field replicas integer Replicas that the actor then has.

---@class AsyncActorSpecScalingScalingStrategy
---@field customScalingQueueLengthDeduction integer? Messages that the strategy custom leaves out.
---@field customScalingRunningJobPercentage string? Share of the running Jobs that the strategy custom deducts, as "0.5".
---@field multipleScalersCalculation 'max'|'min'|'avg'|'sum'? Which of several triggers counts.
---@field pendingPodConditions string[]? Conditions of a pod that a Job must have not to count as pending.
---@field strategy 'default'|'custom'|'accurate'|'eager'? How running Jobs are taken into account.

---@class AsyncActorSpecScaling
---@field activation integer? Messages above which the first replica starts. KEDA's own 0 when absent.
---@field additionalTriggers AsyncActorSpecScalingAdditionalTriggers[]? What else KEDA is to look at. Without a formula the trigger counts that wants most replicas.
---@field advanced AsyncActorSpecScalingAdvanced? KEDA's scaling modifiers, and its autoscaler.
---@field cooldownPeriod integer? Seconds without messages before the last replica goes.
---@field enabled boolean? Let KEDA decide the number of replicas.
---@field excludeUnacknowledged boolean? Leave out messages of RabbitMQ that are being worked on. Needs the management API.
---@field failedJobsHistoryLimit integer? Jobs that have failed and are kept. For Jobs only.
---@field fallback AsyncActorSpecScalingFallback? What to do while KEDA cannot read the queue.
---@field idleReplicas integer? Lets an actor nap though minReplicas is above 0, which then holds as soon as there are messages. KEDA can do that with 0 only.
---@field initialCooldownPeriod integer? Seconds that a new actor keeps its replicas though there are no messages.
---@field maxReplicas integer? Most replicas that KEDA may start.
---@field minReplicas integer? Fewest replicas that KEDA leaves. 0 lets the actor nap while there are no messages.
---@field pollingInterval integer? Seconds between two looks at the queue.
---@field queueLength integer? Messages that one replica should have waiting.
---@field scaleOnDelayed boolean? Whether messages of SQS that are delayed count. They do not when absent.
---@field scaleOnInFlight boolean? Whether messages of SQS that are being worked on count. They do when absent.
---@field scalingStrategy AsyncActorSpecScalingScalingStrategy? How many Jobs KEDA starts for how many messages. For Jobs only.
---@field successfulJobsHistoryLimit integer? Jobs that have succeeded and are kept. For Jobs only.

---@class AsyncActorSpecSidecarEnvValueFromConfigMapKeyRef
---@field key string The key to take.
---@field name string? Name of the ConfigMap.
---@field optional boolean? The pod may start without ConfigMap or key.

---@class AsyncActorSpecSidecarEnvValueFromFieldRef
---@field apiVersion string? Version of the API that the path is written for, v1 unless set.
---@field fieldPath string Path of the field, such as metadata.name.

---@class AsyncActorSpecSidecarEnvValueFromResourceFieldRef
---@field containerName string? Name of the container, the sidecar itself unless set.
---@field divisor integer|string? Unit in which the resource is counted, 1 unless set.
---@field resource string The resource, such as limits.cpu.

---@class AsyncActorSpecSidecarEnvValueFromSecretKeyRef
---@field key string The key to take.
---@field name string? Name of the Secret.
---@field optional boolean? The pod may start without Secret or key.

---@class AsyncActorSpecSidecarEnvValueFrom
---@field configMapKeyRef AsyncActorSpecSidecarEnvValueFromConfigMapKeyRef? A key of a ConfigMap in the actor's namespace.
---@field fieldRef AsyncActorSpecSidecarEnvValueFromFieldRef? A field of the pod.
---@field resourceFieldRef AsyncActorSpecSidecarEnvValueFromResourceFieldRef? A resource that a container of the pod asks for.
---@field secretKeyRef AsyncActorSpecSidecarEnvValueFromSecretKeyRef? A key of a Secret in the actor's namespace.

---@class AsyncActorSpecSidecarEnv
---@field name string Anything but an equals sign.
---@field value string? Value of the variable.
---@field valueFrom AsyncActorSpecSidecarEnvValueFrom? Where the value comes from, instead of value.

---@class AsyncActorSpecSidecarResourcesClaims
---@field name string Name of a claim among the pod's resourceClaims.

---@class AsyncActorSpecSidecarResources
---@field claims AsyncActorSpecSidecarResourcesClaims[]? Claims of the pod that the sidecar uses.
---@field limits table<string, integer|string>? Most that the sidecar may use, such as cpu and memory.
---@field requests table<string, integer|string>? What is set aside for the sidecar, such as cpu and memory.

---@class AsyncActorSpecSidecar
---@field env AsyncActorSpecSidecarEnv[]? Variables added after the operator's own; a name given here wins over the operator's.
---@field image string? Image of the sidecar. The operator's own default when absent.
---@field imagePullPolicy 'Always'|'IfNotPresent'|'Never'? When the image is pulled.
---@field resources AsyncActorSpecSidecarResources? Resources of the sidecar container, as in a pod.

---@class AsyncActorSpecTimeout
---@field gracefulShutdown integer? Seconds that a pod gets to end (its termination grace period).
---@field processing integer? Seconds that one message may take.

---@class AsyncActorSpecWorkloadTemplate
---@field metadata table? Labels and annotations of the pods.
---@field spec table? Spec of the pods, as Kubernetes has it.

---@class AsyncActorSpecWorkload
---@field kind 'Deployment'|'StatefulSet'|'Job'? What runs the pods.
---@field podManagementPolicy 'OrderedReady'|'Parallel'? Order in which a StatefulSet starts its pods.
---@field pythonExecutable string? The Python that runs the runtime script in the container asya-runtime.
---@field replicas integer? Number of pods while scaling is off.
---@field serviceName string? Headless service of a StatefulSet.
---@field template AsyncActorSpecWorkloadTemplate Template of the pods, as in a Deployment. One container must be named asya-runtime.
---@field type 'Deployment'|'StatefulSet'|'Job'? Another spelling of kind, which it wins over when that is Deployment.
---@field volumeClaimTemplates table[]? Volumes that each pod of a StatefulSet gets for itself.

---@class AsyncActorSpec
---@field scaling AsyncActorSpecScaling? Scaling by queue length, with KEDA.
---@field sidecar AsyncActorSpecSidecar? The container that connects the runtime to the queue. The operator adds it to the pod.
---@field timeout AsyncActorSpecTimeout? How long things may take.
---@field transport string Name of a transport in the operator's configuration.
---@field workload AsyncActorSpecWorkload What runs the actor.

---@class AsyncActorStatusConditions
---@field lastTransitionTime string When the status of the condition was last another one.
---@field message string What was seen, and what to do about it.
---@field observedGeneration integer? Generation of the actor that the condition is about.
---@field reason string The message in one word.
---@field status 'True'|'False'|'Unknown' True, False, or Unknown while nobody has looked.
---@field type string TransportReady, WorkloadReady, ScalingReady or Ready.

---@class AsyncActorStatusOperator
---@field lease string? Namespace and name of the operator's lease.
---@field since string? When that operator began. Absent while another one asks whether it is still there.

---@class AsyncActorStatusQueues
---@field account string? AWS account that the credentials led into then; absent at RabbitMQ and in what older operators wrote.
---@field drain string? How far that is, waiting, moving, watching, going, gone or released.
---@field into string? Name of the queue that its messages are moved into, because the actor does not read this one.
---@field name string Name of the queue at its broker.
---@field owner 'Actor'|'Other' Actor when it was made for this actor, Other when it was there before and stays.
---@field place string? Digest of where the transport led then; absent in what older operators wrote. It tells this broker from the one of today.
---@field reason string? Why that does not come to an end, as one word.
---@field transport string Name of the transport in the operator's configuration.

---@class AsyncActorStatusScaledObjectRef
---@field name string Name of the scaler.
---@field namespace string Namespace of the scaler.

---@class AsyncActorStatusWorkloadRef
---@field apiVersion string Its apiVersion.
---@field kind string Its kind.
---@field name string Its name.
---@field namespace string Its namespace.

---@class AsyncActorStatus
---@field bundleDigest string? Digest of the policies that made the children as they are.
---@field conditions AsyncActorStatusConditions[]? What was seen of transport, workload and scaling, and whether the actor works.
---@field desiredReplicas integer? Replicas that are wanted.
---@field failingPods integer? Pods with something that keeps them from working.
---@field lastScaleDirection string? Direction of that change, up or down. Empty when there was none.
---@field lastScaleFormatted string? When and in which direction the actor was scaled last.
---@field lastScaleTime string? When another number of replicas was last wanted.
---@field observedGeneration integer? Generation of the actor that this status is about.
---@field operator AsyncActorStatusOperator? Who works on the actor, so that a second operator sees it and stands by.
---@field pendingReplicas integer? Pods that are on their way and have no trouble.
---@field processingMessages integer? Messages that replicas are working on.
---@field queuedMessages integer? Messages that wait in the queue.
---@field queues AsyncActorStatusQueues[]? Whose its queues are, so that whoever lets the actor go knows which of them go with it.
---@field readyReplicas integer? Pods that are ready, as in replicas.
---@field readyReplicasSummary string? Ready pods of all, as in 2/3.
---@field readySummary string? Deprecated. True conditions of all, as in 2/3.
---@field renderedDigest string? Digest of what those policies made of it.
---@field replicas integer? Pods that are ready.
---@field replicasSummary string? Deprecated. Running pods of the desired, as in 2/3.
---@field scaledObjectRef AsyncActorStatusScaledObjectRef? What scales the actor, a ScaledObject or a ScaledJob.
---@field scalingMode string? KEDA or Manual.
---@field settledDigest string? Digest of the actor and its children when all of it was in place; a restarted operator that finds it unchanged plans nothing. Behind = stands which fields of the children are its own.
---@field status string? The state in one word.
---@field totalReplicas integer? Pods that there are, ready or not.
---@field transportStatus string? Ready, NotReady, or Unknown while nobody has asked the broker.
---@field workloadRef AsyncActorStatusWorkloadRef? The object that runs the actor.

---@class AsyncActor
---@field apiVersion string
---@field kind string
---@field metadata ObjectMeta
---@field spec AsyncActorSpec What the actor is to be.
---@field status AsyncActorStatus? What is true about the actor. Only the operator writes it.
