/* fuzz_sqs.c -- any bytes as the answer of SQS: the call ends with an answer. The first byte cuts, the second says what is asked, the third how
 * the server answers. */
#include "fuzz_broker.h"

static const char QUEUE[] = "{\"name\":\"fuzz\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"300\"},\"tags\":{\"a\":\"b\"},"
			    "\"deadLetter\":{\"name\":\"fuzz-dlq\",\"maxReceiveCount\":3}}";
static const char KEYS[] = "{\"accessKeyId\":\"AKID\",\"secretAccessKey\":\"SECRET\"}";

#define HEAD(status) "HTTP/1.1 " status "\r\nContent-Type: application/x-amz-json-1.0\r\nConnection: close\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const heads[] = {HEAD("200 OK"), HEAD("400 Bad Request"), HEAD("403 Forbidden"), ""};
	static fuzz_wire wire;
	static ao_loop *loop;
	static char *config;
	if (len < 3)
		return 0;
	if (!loop) {
		fuzz_wire_start(&wire);
		loop = ao_loop_new();
		config = ao_xasprintf("{\"region\":\"us-east-1\",\"endpoint\":\"http://127.0.0.1:%d\",\"accountId\":\"123456789012\"}",
				      wire.port);
	}
	fuzz_wire_say(&wire, heads[data[2] % 4], data + 3, len - 3, 1 + (size_t)data[0] * 4);
	fuzz_broker_call(loop, "sqs", config, KEYS, data[1], QUEUE);
	return 0;
}
