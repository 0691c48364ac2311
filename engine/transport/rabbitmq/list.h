#pragma once
/**
 * list.h -- calls in a row.
 * Threads: one owner at a time.
 */
#include "transport/rabbitmq/call.h"

typedef struct ao_rabbit_list {
	ao_rabbit_call *first, *last;
} ao_rabbit_list;

void ao_rabbit_list_put(ao_rabbit_list *list, ao_rabbit_call *call);      /* at the end */
void ao_rabbit_list_put_back(ao_rabbit_list *list, ao_rabbit_call *call); /* at the front */
ao_rabbit_call *ao_rabbit_list_pop(ao_rabbit_list *list);                 /* the first, or NULL */
void ao_rabbit_list_append(ao_rabbit_list *list, ao_rabbit_list *more);   /* empties `more` */
void ao_rabbit_list_free(ao_rabbit_list *list);                           /* and every call in it */
