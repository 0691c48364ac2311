/* list.c -- singly linked through the calls themselves. */
#include "transport/rabbitmq/list.h"

void ao_rabbit_list_put(ao_rabbit_list *list, ao_rabbit_call *call)
{
	call->next = NULL;
	if (list->last)
		list->last->next = call;
	else
		list->first = call;
	list->last = call;
}

void ao_rabbit_list_put_back(ao_rabbit_list *list, ao_rabbit_call *call)
{
	call->next = list->first;
	list->first = call;
	if (!list->last)
		list->last = call;
}

ao_rabbit_call *ao_rabbit_list_pop(ao_rabbit_list *list)
{
	ao_rabbit_call *call = list->first;
	if (!call)
		return NULL;
	list->first = call->next;
	if (!list->first)
		list->last = NULL;
	call->next = NULL;
	return call;
}

void ao_rabbit_list_append(ao_rabbit_list *list, ao_rabbit_list *more)
{
	if (!more->first)
		return;
	if (list->last)
		list->last->next = more->first;
	else
		list->first = more->first;
	list->last = more->last;
	*more = (ao_rabbit_list){0};
}

void ao_rabbit_list_free(ao_rabbit_list *list)
{
	ao_rabbit_call *call;
	while ((call = ao_rabbit_list_pop(list)))
		ao_rabbit_call_free(call);
}
