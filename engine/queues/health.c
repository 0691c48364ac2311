/* health.c -- looks at all queues once in each interval, at a bounded number of them at a time. */
#include "base/mem.h"
#include "queues/keeper_private.h"

#define MAX_LOOKING 64

void ao_queues_look_on(ao_queues *queues)
{
	while (queues->look_at && queues->looking < MAX_LOOKING) {
		ao_kept_queue *q = queues->look_at;
		queues->look_at = q->after;
		if (q->due && !q->call && q->verb == AO_BROKER_ENSURE && q->good == q->digest)
			ao_queues_look(q);
		q->due = false;
	}
}

/** Those that are not right are tried again anyway. */
void ao_queues_on_health(void *arg)
{
	ao_queues *queues = arg;
	ao_brokers_doubt(queues->brokers);
	for (ao_kept_queue *q = queues->first; q; q = q->after)
		q->due = true;
	queues->look_at = queues->first;
	ao_queues_look_on(queues);
	ao_timer_start(queues->health, queues->with.health_ms);
}
