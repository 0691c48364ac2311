"""Requests and replies: what handlers return, what they raise, what sidecars send."""

import json
import socket
import struct
import time

from runtime_case import RuntimeCase, decode, envelope, frame, read_to_end

ECHO = """
    def handle(payload):
        return payload
"""


class PayloadMode(RuntimeCase):
    SOURCE = """
        def handle(payload):
            if isinstance(payload, dict) and "return" in payload:
                return eval(payload["return"])
            return payload
    """

    def returns(self, expression):
        return self.ask(envelope({"return": expression}))

    def test_a_result_goes_one_step_on(self):
        self.assertEqual([{"payload": {"x": 1}, "route": {"actors": ["a", "b", "c"], "current": 1}}],
                         self.ask(envelope({"x": 1})))

    def test_the_last_actor_points_beyond_the_end(self):
        reply = self.ask(envelope("p", route={"actors": ["a"], "current": 0}))
        self.assertEqual({"actors": ["a"], "current": 1}, reply[0]["route"])

    def test_values_that_are_false_are_results(self):
        for value in (0, "", False, {}, 0.5):
            with self.subTest(value=value):
                self.assertEqual([value], [item["payload"] for item in self.ask(envelope(value))])

    def test_lists_and_tuples_fan_out(self):
        for expression, payloads in (
                ("[1, 2, 3]", [1, 2, 3]), ("(1, 'two')", [1, "two"]), ("[[1], [2]]", [[1], [2]]), ("[None]", [None]),
                ("[0] * 100", [0] * 100)):
            with self.subTest(expression):
                reply = self.returns(expression)
                self.assertEqual(payloads, [item["payload"] for item in reply])
                self.assertTrue(all(item["route"]["current"] == 1 for item in reply))

    def test_nothing_further(self):
        for expression in ("None", "[]", "()"):
            with self.subTest(expression):
                self.assertEqual([], self.returns(expression))

    def test_headers_travel(self):
        headers = {"trace": "t-1", "n": [1]}
        self.assertEqual([headers, headers],
                         [item["headers"] for item in self.ask(envelope({"return": "[1, 2]"}, headers=headers))])
        self.assertNotIn("headers", self.ask(envelope("p"))[0])

    def test_only_known_keys_travel_but_all_of_a_route(self):
        route = {"actors": ["a", "b"], "current": 1, "metadata": {"job": 7}, "other": True}
        reply = self.ask(envelope("p", route=route, deadline="soon", parent_id="m-0"))
        self.assertEqual([{"payload": "p", "route": dict(route, current=2)}], reply)

    def test_an_absent_current_is_the_first_actor(self):
        self.assertEqual(1, self.ask(envelope("p", route={"actors": ["a", "b"]}))[0]["route"]["current"])

    def test_text_of_all_languages(self):
        for text in ("žluťoučký kůň", "アジャ", "🐎", "\ud83d", "\x00\x7f", "\u2028"):
            with self.subTest(ascii(text)):
                self.assertEqual(text, self.ask(envelope(text))[0]["payload"])

    def test_a_payload_of_many_chunks(self):
        payload = {"data": "x" * (3 << 20), "numbers": list(range(10000))}
        self.assertEqual(payload, self.ask(envelope(payload))[0]["payload"])

    def test_one_request_after_the_other(self):
        for number in range(100):
            self.assertEqual(number, self.ask(envelope(number))[0]["payload"])

    def test_what_cannot_be_sent_is_an_error(self):
        for expression, kind in (
                ("object()", "TypeError"), ("{1, 2}", "TypeError"), ("b'bytes'", "TypeError"),
                ("{(1, 2): 3}", "TypeError"), ("[1, object()]", "TypeError"), ("(x for x in [1])", "TypeError"),
                ("float('nan')", "ValueError"), ("float('-inf')", "ValueError"),
                ("[{'deep': [float('inf')]}]", "ValueError"),
                ("(lambda d: d.update(d=d) or d)({})", "ValueError"),
                ("__import__('functools').reduce(lambda inner, _: {'x': inner}, range(100000), 0)", "RecursionError")):
            with self.subTest(expression):
                self.assert_error(self.returns(expression), "processing_error", kind=kind)
                self.assert_alive()


class Failures(RuntimeCase):
    SOURCE = """
        import os, sys

        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        def helper():
            raise KeyError("where")

        def handle(payload):
            if payload == "exit in a child":
                child = os.fork()
                if child == 0:
                    sys.exit(3)
                return os.waitpid(child, 0)[1] >> 8
            exec(payload)
    """

    def test_what_a_handler_raises_is_answered(self):
        for code, kind, message in (
                ("raise ValueError('bad input')", "ValueError", "bad input"),
                ("raise ValueError", "ValueError", "ValueError"),
                ("helper()", "KeyError", "where"),
                ("import nowhere", "ModuleNotFoundError", "nowhere"),
                ("raise MemoryError('full')", "MemoryError", "full"),
                ("raise ConnectionResetError('database')", "ConnectionResetError", "database"),
                ("assert False", "AssertionError", ""),
                ("def f(): f()\nf.__globals__['f'] = f\nf()", "RecursionError", "recursion"),
                ("sys.exit(3)", "SystemExit", "3"),
                ("sys.exit()", "SystemExit", "SystemExit"),
                ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
                ("raise GeneratorExit", "GeneratorExit", "GeneratorExit"),
                ("raise Mute", "Mute", "Mute")):
            with self.subTest(code):
                self.assert_error(self.ask(envelope(code)), "processing_error", message, kind)
        self.assertEqual([], self.ask(envelope("pass")))

    def test_the_traceback_leads_to_the_line(self):
        details = self.ask(envelope("helper()"))[0]["details"]
        self.assertIn("app.py", details["traceback"])
        self.assertIn("in helper", details["traceback"])
        self.assertIn('raise KeyError("where")', details["traceback"])

    def test_a_forked_child_may_exit_and_the_parent_serves_on(self):
        self.assertEqual([3], [item["payload"] for item in self.ask(envelope("exit in a child"))])
        self.assertEqual(["asya-runtime.sock", "runtime-ready"], self.shared.files())
        self.assertEqual([], self.ask(envelope("pass")))


class BadRequests(RuntimeCase):
    SOURCE = ECHO

    def test_what_is_no_json_object_is_refused(self):
        for body in (b"", b" ", b"{", b'{"id": }', b"1", b'"text"', b"null", b"true", b"[]", b'[{"payload": 1}]',
                     b"\xff\xfe", b'{"payload": "\xc3"}', b"\xef\xbb\xbf{}", b"{} {}", b"1" * 5000, b"[" * 100000,
                     b'{"payload": ' + b"[" * 100000, b"not json", '{"payload": 1}'.encode("utf-16")):
            with self.subTest(body[:30]):
                self.assert_error(self.shared.exchange(frame(body)), "msg_parsing_error")
                self.assert_alive()

    def test_nan_and_infinity_are_no_json(self):
        for word in ("NaN", "Infinity", "-Infinity"):
            with self.subTest(word):
                body = json.dumps(envelope("X")).replace('"X"', word).encode()
                reply = self.shared.exchange(frame(body))
                self.assert_error(reply, "msg_parsing_error", word + " is not JSON", "ValueError")

    def test_validation(self):
        route = {"actors": ["a", "b"], "current": 0}
        for request, message in (
                ({}, "'payload' is missing"),
                (envelope(payload=...), "'payload' is missing"),
                (envelope(route=...), "'route' is missing"),
                (envelope(route=None), "'route' must be an object"),
                (envelope(route=["a"]), "'route' must be an object"),
                (envelope(route={}), "'route.actors' is missing"),
                (envelope(route={"actors": "a"}), "'route.actors' must be a list"),
                (envelope(route={"actors": None}), "'route.actors' must be a list"),
                (envelope(route=dict(route, current="0")), "'route.current' must be an integer"),
                (envelope(route=dict(route, current=None)), "'route.current' must be an integer"),
                (envelope(route=dict(route, current=0.0)), "'route.current' must be an integer"),
                (envelope(route=dict(route, current=True)), "'route.current' must be an integer, is bool"),
                (envelope(route=dict(route, current=False)), "'route.current' must be an integer, is bool"),
                (envelope(route={"actors": []}), "'route.actors' is empty"),
                (envelope(route=dict(route, current=-1)), "'route.current' is -1"),
                (envelope(route=dict(route, current=3)), "'route.current' is 3, but there are 2 actors"),
                (envelope(headers=[]), "'headers' must be an object"),
                (envelope(headers=None), "'headers' must be an object"),
                (envelope(id=7), "'id' must be a string"),
                (envelope(id=None), "'id' must be a string"),
                # the first of several troubles, in this order
                ({"id": 7, "headers": 1, "route": 1}, "'payload' is missing"),
                ({"id": 7, "headers": 1, "route": 1, "payload": 1}, "'route' must be an object"),
                ({"id": 7, "headers": 1, "route": {"actors": [], "current": "x"}, "payload": 1}, "must be an integer"),
                ({"id": 7, "headers": 1, "route": {"actors": [], "current": 9}, "payload": 1}, "is empty"),
                ({"id": 7, "headers": 1, "route": {"actors": ["a"], "current": 9}, "payload": 1}, "is 9, but there"),
                ({"id": 7, "headers": 1, "route": {"actors": ["a"]}, "payload": 1}, "'headers'"),
                ({"id": 7, "headers": {}, "route": {"actors": ["a"]}, "payload": 1}, "'id'")):
            with self.subTest(json.dumps(request)):
                self.assert_error(self.ask(request), "msg_parsing_error", message, "ValueError")

    def test_what_validation_lets_pass(self):
        for request in (envelope(id=...), envelope(route={"actors": ["a"], "current": 1}), envelope(None),
                        envelope(parent_id=5), envelope(headers={}), envelope(route={"actors": [1, None]})):
            with self.subTest(json.dumps(request)):
                self.assertNotIn("error", json.dumps(self.ask(request)))


class Frames(RuntimeCase):
    SOURCE = ECHO
    ENV = {"ASYA_MAX_FRAME": "1000000", "ASYA_CHUNK_SIZE": "1000"}

    def test_a_probe_connection_is_harmless(self):
        before = self.shared.log()
        for _ in range(20):
            self.shared.connect().close()
        self.assertIsNone(self.shared.exchange(b"", end_of_writing=True))
        self.assertEqual(before, self.shared.log())
        self.assert_alive()

    def test_a_request_that_ends_early(self):
        whole = frame(envelope("p"))
        size = len(whole) - 4
        for cut, message in ((1, "the header ended"), (3, "the header ended"), (4, "the body ended after 0 of"),
                             (len(whole) - 1, "the body ended after %d of %d bytes" % (size - 1, size))):
            with self.subTest(cut):
                self.assert_error(self.shared.exchange(whole[:cut], end_of_writing=True), "connection_error", message)
                self.assert_alive()

    def test_a_sidecar_that_goes_away(self):
        for data in (frame(envelope("p")), frame(envelope("p"))[:9], struct.pack("!I", 0xFFFFFFFF),
                     frame(envelope("x" * 900000))):
            with self.subTest(len(data)), self.shared.connect() as connection:
                connection.sendall(data)
            self.assert_alive()

    def test_a_request_in_drips(self):
        with self.shared.connect() as connection:
            for byte in frame(envelope("p")):
                connection.sendall(bytes([byte]))
                time.sleep(0.0005)
            self.assertEqual("p", decode(read_to_end(connection))[0]["payload"])

    def test_a_length_above_the_cap_is_refused_unread(self):
        for length in (1000001, 0x7FFFFFFF, 0xFFFFFFFF):
            with self.subTest(length), self.shared.connect() as connection:
                connection.sendall(struct.pack("!I", length) + b"{")
                self.assert_error(decode(read_to_end(connection)), "msg_parsing_error", "ASYA_MAX_FRAME allows 1000000")
        self.assert_alive()

    def test_a_request_above_the_cap_gets_its_answer_after_all_was_written(self):
        body = frame(b" " * 30000000)
        self.assert_error(self.shared.exchange(body), "msg_parsing_error", "the request is 30000000 bytes long")
        self.assert_alive()

    def test_a_request_at_the_cap_is_served(self):
        bare = len(frame(envelope(""))) - 4
        self.assertEqual(1000000 - bare, len(self.ask(envelope("x" * (1000000 - bare)))[0]["payload"]))
        self.assert_error(self.ask(envelope("x" * (1000001 - bare))), "msg_parsing_error")

    def test_one_request_a_connection(self):
        with self.shared.connect() as connection:
            connection.sendall(frame(envelope(1)))
            self.assertEqual(1, decode(read_to_end(connection))[0]["payload"])

    def test_a_second_sidecar_waits(self):
        with self.shared.connect() as first, self.shared.connect() as second:
            second.sendall(frame(envelope(2)))
            second.settimeout(0.3)
            with self.assertRaises(socket.timeout):
                second.recv(1)
            second.settimeout(10)
            first.sendall(frame(envelope(1)))
            self.assertEqual(1, decode(read_to_end(first))[0]["payload"])
            self.assertEqual(2, decode(read_to_end(second))[0]["payload"])


class EnvelopeMode(RuntimeCase):
    SOURCE = """
        def handle(envelope):
            names = {"envelope": envelope, "result": envelope}
            exec(envelope["payload"], names)
            return names["result"]
    """
    ENV = {"ASYA_HANDLER_MODE": "Envelope"}

    def run_code(self, code, **changes):
        return self.ask(envelope(code, **changes))

    def test_the_envelope_is_handed_over_without_foreign_keys(self):
        code = "result = {'payload': envelope, 'route': envelope['route']}"
        request = envelope(code, parent_id="m-0", headers={"h": 1})
        self.assertEqual(request, self.ask(dict(request, deadline="soon"))[0]["payload"])

    def test_results_are_reduced_to_known_keys(self):
        reply = self.run_code("envelope['extra'] = 1", headers={"h": 1}, parent_id="m-0")
        self.assertEqual({"payload", "route", "id", "parent_id", "headers"}, set(reply[0]))

    def test_none_one_and_many(self):
        for code, count in (("result = None", 0), ("result = []", 0), ("result = dict(envelope)", 1),
                            ("result = [dict(envelope), dict(envelope, id='m-2')]", 2),
                            ("result = (envelope,) * 3", 3)):
            with self.subTest(code):
                self.assertEqual(count, len(self.run_code(code)))

    def test_the_route_may_go_on_in_place(self):
        for route in ({"actors": ["a"], "current": 0}, {"actors": ["a", "b"], "current": 1},
                      {"actors": ["a", "b"], "current": 0}):
            with self.subTest(route):
                reply = self.run_code("envelope['route']['current'] += 1", route=route)
                self.assertEqual([dict(route, current=route["current"] + 1)], [item.get("route") for item in reply])

    def test_the_future_may_change(self):
        for code, actors in (("envelope['route']['actors'].append('d')", ["a", "b", "c", "d"]),
                             ("envelope['route']['actors'][2:] = ['x', 'y']", ["a", "b", "x", "y"]),
                             ("envelope['route']['actors'] = ['a', 'b']", ["a", "b"])):
            with self.subTest(code):
                reply = self.run_code(code, route={"actors": ["a", "b", "c"], "current": 1})
                self.assertEqual([actors], [item["route"]["actors"] for item in reply])

    def test_the_past_may_not_change(self):
        for code in ("envelope['route']['actors'].pop(0)", "envelope['route']['actors'][0] = 'z'",
                     "envelope['route']['actors'][1] = 'z'", "envelope['route'].update(actors=['c'], current=0)",
                     "envelope['route']['actors'].insert(0, 'z')", "envelope['route']['actors'][:] = ['a']",
                     "result = [dict(envelope), {'payload': 1, 'route': {'actors': ['b'], 'current': 0}}]"):
            with self.subTest(code):
                reply = self.run_code(code, route={"actors": ["a", "b", "c"], "current": 1})
                self.assert_error(reply, "processing_error", "must still begin with ['a', 'b']", "ValueError")

    def test_results_are_checked(self):
        for code, message in (
                ("result = 'text'", "an envelope must be an object, is str"),
                ("result = [envelope, None]", "an envelope must be an object, is NoneType"),
                ("result = {}", "'payload' is missing"),
                ("del envelope['route']", "'route' is missing"),
                ("envelope['route'] = []", "'route' must be an object"),
                ("del envelope['route']['actors']", "'route.actors' is missing"),
                ("envelope['route']['current'] = True", "'route.current' must be an integer, is bool"),
                ("envelope['route']['current'] = 4", "'route.current' is 4"),
                ("envelope['headers'] = None", "'headers' must be an object"),
                ("envelope['id'] = 1", "'id' must be a string")):
            with self.subTest(code):
                self.assert_error(self.run_code(code), "processing_error", message, "ValueError")

    def test_an_absent_current_is_zero(self):
        self.assertEqual(0, self.run_code("del envelope['route']['current']")[0]["route"]["current"])


class WithoutValidation(RuntimeCase):
    SOURCE = """
        def handle(envelope):
            return envelope.get("result", {})
    """
    ENV = {"ASYA_HANDLER_MODE": "envelope", "ASYA_ENABLE_VALIDATION": "false"}

    def test_results_are_sent_as_they_are(self):
        for result in ({}, {"anything": 1}, {"payload": 1, "route": {"actors": [], "current": True}, "x": 2}):
            with self.subTest(result):
                self.assertEqual([result], self.ask({"result": result}))
        self.assertEqual([{}], self.ask(envelope("p")))
        self.assertEqual([], self.ask({"result": None}))
        self.assertEqual([1, "two"], self.ask({"result": [1, "two"]}))

    def test_only_objects_are_requests(self):
        for request in (1, None, [], "text"):
            with self.subTest(request):
                self.assert_error(self.ask(request), "msg_parsing_error", "a request must be an object")

    def test_only_true_enables(self):
        for text, validates in (("TRUE", True), ("True", True), ("1", False), ("yes", False), ("", False),
                                ("FALSE", False)):
            with self.subTest(text):
                made = self.runtime(self.SOURCE, ASYA_HANDLER_MODE="envelope", ASYA_ENABLE_VALIDATION=text).start()
                self.assertEqual(not validates, made.ask({}) == [{}])

    def test_payload_mode_still_needs_payload_and_route(self):
        made = self.runtime(ECHO, ASYA_ENABLE_VALIDATION="false").start()
        self.assertEqual([{"payload": 1, "route": {"current": 1}}], made.ask({"payload": 1, "route": {}}))
        for request in ({"payload": 1}, {"route": {}}, {"payload": 1, "route": []},
                        {"payload": 1, "route": {"current": "x"}}):
            with self.subTest(request):
                self.assert_error(made.ask(request), "msg_parsing_error", "'payload' and 'route' are needed")


class Logs(RuntimeCase):
    def test_payloads_are_not_logged(self):
        for level in ("INFO", "DEBUG"):
            with self.subTest(level):
                made = self.runtime(ECHO, ASYA_LOG_LEVEL=level).start()
                self.assertEqual("secret-word", made.ask(envelope("secret-word", id="m-77"))[0]["payload"])
                made.ask(envelope("secret-word", id=5))
                made.exchange(frame(b'{"payload": "secret-word"'))
                self.assertIn("m-77", made.log())
                self.assertNotIn("secret-word", made.log())

    def test_levels(self):
        for level, shown in (("error", False), ("Warning", False), ("info", True), ("nonsense", True)):
            with self.subTest(level):
                made = self.runtime(ECHO, ASYA_LOG_LEVEL=level).start()
                made.ask(envelope(1))
                made.signal(15)
                made.wait()
                self.assertEqual(shown, "INFO" in made.log().replace("INFO is used", ""))
        self.assertIn("ASYA_LOG_LEVEL is 'NONSENSE'", made.log())
