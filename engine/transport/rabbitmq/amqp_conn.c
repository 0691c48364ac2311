/* amqp_conn.c -- finds an address that takes us, goes through the opening dialogue (start, tune, open), then passes frames on. */
#include "transport/rabbitmq/amqp_conn.h"

#include "base/clock.h"
#include "base/mem.h"
#include "transport/rabbitmq/amqp_link.h"
#include "transport/rabbitmq/amqp_resolve.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_MS 4000 /* for one of several addresses of a host */
#define CLOSE_MS 2000
#define FRAME_MAX 131072     /* the size everybody uses */
#define FIRST_FRAME_MAX 4096 /* what any peer takes before sizes are agreed */
#define FRAME_EXTRA 8        /* head of 7 bytes and the end mark */

typedef enum { CONNECTING, GREETED, LOGGED_IN, TUNED, READY, CLOSING } state;

struct ao_amqp {
	ao_amqp_target target;
	ao_amqp_fn fn;
	ao_amqp_content_fn content;
	void *arg;
	state state;
	ao_resolve *resolve;
	const struct addrinfo *address; /* the one being tried; of `resolve` */
	ao_amqp_link *link;
	uint64_t deadline;         /* until READY, and again from CLOSING on */
	uint64_t address_deadline; /* until this address has answered at all */
	unsigned heartbeat_s, channel_max;
	size_t frame_max;
	amqp_pool_t pool;
	ao_amqp_farewell farewell;
	uint8_t scratch[FRAME_MAX];
};

ao_amqp *ao_amqp_new(const ao_amqp_target *target, ao_amqp_fn fn, ao_amqp_content_fn content, void *arg)
{
	ao_amqp *c = ao_xcalloc(1, sizeof(*c));
	c->target = *target;
	c->fn = fn;
	c->content = content;
	c->arg = arg;
	c->frame_max = FIRST_FRAME_MAX;
	c->deadline = ao_mono_ms() + AO_AMQP_CONNECT_MS;
	init_amqp_pool(&c->pool, 4096);
	c->resolve = ao_resolve_start(target->host, target->port);
	return c;
}

void ao_amqp_free(ao_amqp *c)
{
	if (!c)
		return;
	if (c->state == READY)
		ao_amqp_close(c);
	ao_amqp_link_free(c->link);
	ao_resolve_free(c->resolve);
	empty_amqp_pool(&c->pool);
	free(c);
}

int ao_amqp_fd(const ao_amqp *c, short *ret_events)
{
	*ret_events = c->link ? ao_amqp_link_events(c->link) : POLLIN;
	return c->link ? c->link->fd : ao_resolve_fd(c->resolve);
}

bool ao_amqp_ready(const ao_amqp *c) { return c->state == READY; }
const char *ao_amqp_user(const ao_amqp *c) { return c->target.username; }
unsigned ao_amqp_channel_max(const ao_amqp *c) { return c->channel_max; }
uint64_t ao_amqp_last_in(const ao_amqp *c) { return c->link ? c->link->last_in : 0; }
const ao_amqp_farewell *ao_amqp_get_farewell(const ao_amqp *c) { return &c->farewell; }

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t ao_amqp_due(const ao_amqp *c)
{
	uint64_t due = c->state == READY ? UINT64_MAX : c->deadline;
	if (c->state == CONNECTING && c->address_deadline)
		due = sooner(due, c->address_deadline);
	if (c->state == READY && c->heartbeat_s) /* said twice in each interval; two intervals of silence are the end */
		due = sooner(c->link->last_out + c->heartbeat_s * 500, c->link->last_in + c->heartbeat_s * 2000);
	return due;
}

/* ---- sending ---- */

static void put_frame(ao_amqp *c, uint8_t type, unsigned channel, const uint8_t *payload, size_t len)
{
	uint8_t head[7] = {type, (uint8_t)(channel >> 8), (uint8_t)channel};
	uint32_t size = htonl((uint32_t)len);
	memcpy(head + 3, &size, sizeof(size));
	ao_buf_put(&c->link->out, head, sizeof(head));
	ao_buf_put(&c->link->out, payload, len);
	ao_buf_put(&c->link->out, &(uint8_t){AMQP_FRAME_END}, 1);
}

int ao_amqp_send(ao_amqp *c, unsigned channel, amqp_method_number_t id, void *method)
{
	uint32_t number = htonl(id);
	memcpy(c->scratch, &number, sizeof(number));
	amqp_bytes_t room = {.bytes = c->scratch + sizeof(number), .len = c->frame_max - FRAME_EXTRA - sizeof(number)};
	int len = amqp_encode_method(id, method, room);
	if (len < 0)
		return -E2BIG;
	put_frame(c, AMQP_FRAME_METHOD, channel, c->scratch, sizeof(number) + (size_t)len);
	return 0;
}

void ao_amqp_send_content(ao_amqp *c, unsigned channel, const ao_buf *header, const ao_buf *body)
{
	const size_t most = c->frame_max - FRAME_EXTRA;
	put_frame(c, AMQP_FRAME_HEADER, channel, (const uint8_t *)header->data, header->len);
	for (size_t at = 0; at < body->len; at += most)
		put_frame(c, AMQP_FRAME_BODY, channel, (const uint8_t *)body->data + at, body->len - at < most ? body->len - at : most);
}

void ao_amqp_close(ao_amqp *c)
{
	amqp_connection_close_t bye = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("done")};
	ao_amqp_send(c, 0, AMQP_CONNECTION_CLOSE_METHOD, &bye);
	c->state = CLOSING;
	c->deadline = ao_mono_ms() + CLOSE_MS;
}

/* ---- the opening dialogue ---- */

static amqp_table_entry_t text_entry(const char *key, const char *text)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
				    .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text)}};
}

/** Logs in with PLAIN: NUL, user, NUL, password. */
static int on_start(ao_amqp *c, const amqp_connection_start_t *start, ao_err **reterr)
{
	if (!start->mechanisms.len || !memmem(start->mechanisms.bytes, start->mechanisms.len, "PLAIN", 5))
		return ao_err_set(reterr, -EPERM, "the broker does not take user names and passwords (it offers %.*s)",
				  (int)start->mechanisms.len, (const char *)start->mechanisms.bytes);
	amqp_table_entry_t can = {.key = amqp_cstring_bytes("authentication_failure_close"), /* else it only hangs up */
				  .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
	amqp_table_entry_t entries[] = {
	    text_entry("product", "asya-operator"),
	    text_entry("connection_name", "asya-operator"),
	    {.key = amqp_cstring_bytes("capabilities"), .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {1, &can}}},
	};
	size_t user = strlen(c->target.username), password = strlen(c->target.password), len = user + password + 2;
	char *response = ao_xcalloc(1, len + 1);
	memcpy(response + 1, c->target.username, user);
	memcpy(response + 2 + user, c->target.password, password);
	amqp_connection_start_ok_t ok = {.client_properties = {AO_LEN(entries), entries},
					 .mechanism = amqp_cstring_bytes("PLAIN"),
					 .response = {.len = len, .bytes = response},
					 .locale = amqp_cstring_bytes("en_US")};
	int r = ao_amqp_send(c, 0, AMQP_CONNECTION_START_OK_METHOD, &ok);
	explicit_bzero(response, len);
	explicit_bzero(c->scratch, FIRST_FRAME_MAX);
	free(response);
	c->state = LOGGED_IN;
	return r < 0 ? ao_err_set(reterr, -EINVAL, "user name and password are too long") : 0;
}

/** What both sides can do; 0 from the broker means that it does not care. */
static unsigned agreed(unsigned ours, unsigned theirs) { return theirs && (theirs < ours || !ours) ? theirs : ours; }

static void on_tune(ao_amqp *c, const amqp_connection_tune_t *tune)
{
	c->frame_max = agreed(FRAME_MAX, (unsigned)tune->frame_max);
	c->channel_max = agreed(UINT16_MAX, tune->channel_max);
	c->heartbeat_s = c->target.heartbeat_s ? agreed(c->target.heartbeat_s, tune->heartbeat) : 0;
	amqp_connection_tune_ok_t ok = {
	    .channel_max = (uint16_t)c->channel_max, .frame_max = (uint32_t)c->frame_max, .heartbeat = (uint16_t)c->heartbeat_s};
	amqp_connection_open_t open = {.virtual_host = amqp_cstring_bytes(c->target.vhost)};
	ao_amqp_send(c, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
	ao_amqp_send(c, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
	c->state = TUNED;
}

/** The broker ends the connection: tells apart whose fault it is. */
static int on_close(ao_amqp *c, const amqp_connection_close_t *close, ao_err **reterr)
{
	ao_amqp_farewell *bye = &c->farewell;
	bye->code = close->reply_code;
	bye->method = (amqp_method_number_t)close->class_id << 16 | close->method_id;
	snprintf(bye->text, sizeof(bye->text), "%.*s", (int)close->reply_text.len, (const char *)close->reply_text.bytes);
	ao_amqp_send(c, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &(amqp_connection_close_ok_t){0});
	int code = -EPROTO;
	if (bye->code == AMQP_CONNECTION_FORCED || strstr(bye->text, "is down")) /* it starts or stops */
		code = -EIO;
	else if (bye->code == AMQP_ACCESS_REFUSED)
		code = -EPERM;
	else if (bye->code == AMQP_NOT_ALLOWED || bye->code == AMQP_INVALID_PATH)
		code = strstr(bye->text, "not found") ? -EINVAL : -EPERM;
	const char *what = c->state == READY ? "the broker closed the connection" : "the broker does not let us in";
	return ao_err_set(reterr, code, "%s (user %s, virtual host %s): %s", what, c->target.username, c->target.vhost, bye->text);
}

static int on_connection_method(ao_amqp *c, const amqp_method_t *method, ao_err **reterr)
{
	if (method->id == AMQP_CONNECTION_CLOSE_METHOD)
		return on_close(c, method->decoded, reterr);
	if (method->id == AMQP_CONNECTION_CLOSE_OK_METHOD && c->state == CLOSING)
		return ao_err_set(reterr, -EIO, "closed");
	if (method->id == AMQP_CONNECTION_START_METHOD && c->state == GREETED)
		return on_start(c, method->decoded, reterr);
	if (method->id == AMQP_CONNECTION_TUNE_METHOD && c->state == LOGGED_IN)
		on_tune(c, method->decoded);
	else if (method->id == AMQP_CONNECTION_OPEN_OK_METHOD && c->state == TUNED)
		c->state = READY;
	else if (c->state != READY && c->state != CLOSING)
		return ao_err_set(reterr, -EPROTO, "the broker answers the login with method %#x", method->id);
	return 0;
}

/* ---- receiving ---- */

static int take_method(ao_amqp *c, unsigned channel, uint8_t *payload, size_t len, ao_err **reterr)
{
	uint32_t number;
	if (len < sizeof(number))
		return ao_err_set(reterr, -EPROTO, "the broker sends a method without a number");
	memcpy(&number, payload, sizeof(number));
	amqp_method_t method = {.id = ntohl(number)};
	amqp_bytes_t arguments = {.bytes = payload + sizeof(number), .len = len - sizeof(number)};
	int r = 0;
	if (amqp_decode_method(method.id, &c->pool, arguments, &method.decoded) != AMQP_STATUS_OK)
		r = ao_err_set(reterr, -EPROTO, "the broker sends method %#x, which makes no sense", method.id);
	else if (channel == 0)
		r = on_connection_method(c, &method, reterr);
	else if (c->state == READY)
		c->fn(c->arg, channel, &method);
	recycle_amqp_pool(&c->pool);
	return r;
}

/** The first byte tells a broker from other servers before a whole frame is there. */
static int check_greeting(uint8_t first, ao_err **reterr)
{
	if (first == AMQP_FRAME_METHOD)
		return 0;
	if (first == 0x15)
		return ao_err_set(reterr, -EPROTO, "the port speaks TLS; set tls.enabled");
	if (first == 'A')
		return ao_err_set(reterr, -EPROTO, "the broker does not speak AMQP 0-9-1");
	return ao_err_set(reterr, -EPROTO, "the port does not speak AMQP");
}

static int take_frames(ao_amqp *c, ao_err **reterr)
{
	ao_buf *in = &c->link->in;
	size_t at = 0;
	int r = c->state == GREETED && in->len ? check_greeting((uint8_t)in->data[0], reterr) : 0;
	while (r == 0 && in->len - at >= FRAME_EXTRA) {
		uint8_t *frame = (uint8_t *)in->data + at;
		uint32_t size;
		memcpy(&size, frame + 3, sizeof(size));
		size = ntohl(size);
		if (size > FRAME_MAX)
			return ao_err_set(reterr, -EPROTO, "the broker sends a frame of %u bytes", size);
		if (in->len - at < size + FRAME_EXTRA)
			break;
		if (frame[7 + size] != AMQP_FRAME_END)
			return ao_err_set(reterr, -EPROTO, "the broker sends a frame without an end");
		unsigned channel = (unsigned)frame[1] << 8 | frame[2];
		if (frame[0] == AMQP_FRAME_METHOD)
			r = take_method(c, channel, frame + 7, size, reterr);
		else if ((frame[0] == AMQP_FRAME_HEADER || frame[0] == AMQP_FRAME_BODY) && channel && c->state == READY)
			c->content(c->arg, channel, frame[0] == AMQP_FRAME_HEADER, frame + 7, size);
		at += size + FRAME_EXTRA;
	}
	ao_buf_drop_front(in, at);
	return r;
}

/* ---- moving on ---- */

static void try_address(ao_amqp *c, const struct addrinfo *address)
{
	ao_amqp_link_free(c->link);
	c->address = address;
	c->link = ao_amqp_link_new(address, c->target.tls, c->target.tls_name ? c->target.tls_name : c->target.host);
	c->address_deadline = address->ai_next ? ao_mono_ms() + ADDRESS_MS : 0;
}

static int find_address(ao_amqp *c, ao_err **reterr)
{
	const struct addrinfo *found = NULL;
	int r = ao_resolve_answer(c->resolve, &found, reterr);
	if (r == 0 && found)
		try_address(c, found);
	return r;
}

static void greet(ao_amqp *c)
{
	ao_buf_put(&c->link->out, "AMQP\0\0\x09\x01", 8);
	c->state = GREETED;
}

static int move_bytes(ao_amqp *c, ao_err **reterr)
{
	int r;
	do {
		ao_auto_err ao_err *err = NULL;
		r = ao_amqp_link_go(c->link, &err);
		if (r < 0 && c->state == CONNECTING && c->address->ai_next) {
			try_address(c, c->address->ai_next);
			r = 0;
			continue;
		}
		if (r < 0 && c->state == LOGGED_IN) /* a broker that does not know authentication_failure_close only hangs up */
			return ao_err_set(reterr, -EPERM, "the broker hangs up on user %s: wrong user name or password?",
					  c->target.username);
		if (r < 0)
			return ao_err_set(reterr, r, "%s", ao_err_text(err));
		if (c->link->open && c->state == CONNECTING)
			greet(c);
		r = take_frames(c, reterr);
	} while (r == 0 && (c->link->more || (c->link->open && c->link->out.len && !c->link->stuck)));
	return r;
}

/** @return 1 when there is something new to move */
static int check_clocks(ao_amqp *c, ao_err **reterr)
{
	uint64_t now = ao_mono_ms();
	if (now < ao_amqp_due(c))
		return 0;
	if (c->state != READY && now >= c->deadline)
		return ao_err_set(reterr, -ETIME, "%s",
				  c->state == CONNECTING ? "no connection in time" : "connected, but no answer in time");
	if (c->state == CONNECTING) {
		try_address(c, c->address->ai_next);
		return 1;
	}
	if (now >= c->link->last_in + c->heartbeat_s * 2000)
		return ao_err_set(reterr, -ETIME, "the broker was silent for %u s", c->heartbeat_s * 2);
	put_frame(c, AMQP_FRAME_HEARTBEAT, 0, (const uint8_t *)"", 0);
	c->link->last_out = now; /* one is enough when it cannot be written at once */
	return 1;
}

int ao_amqp_go(ao_amqp *c, ao_err **reterr)
{
	int r = c->link ? 0 : find_address(c, reterr);
	if (r == 0 && c->link)
		r = move_bytes(c, reterr);
	if (r == 0)
		r = check_clocks(c, reterr); /* after reading: bytes that came while nobody looked are no silence */
	if (r > 0)
		r = move_bytes(c, reterr);
	if (r < 0)
		ao_err_wrap(reterr, "%s:%s", c->target.host, c->target.port);
	return r;
}
