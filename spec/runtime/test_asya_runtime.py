"""The process: how it starts, finds the handler, stops, and what its source may use."""

import ast
import os
import re
import signal
import stat
import sys
import time

from runtime_case import SCRIPT, RuntimeCase, decode, envelope, frame, read_to_end

ECHO = """
    def handle(payload):
        return payload
"""
SLOW = """
    import pathlib, time

    def handle(payload):
        pathlib.Path(payload).touch()
        time.sleep(1)
        return "done"
"""


class Start(RuntimeCase):
    def test_socket_and_ready_file(self):
        made = self.runtime(ECHO).start()
        with open(made.ready_path) as file:
            self.assertEqual("ready", file.read())
        mode = os.stat(made.socket_path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(0o666, stat.S_IMODE(mode))

    def test_socket_settings(self):
        umask = os.umask(0o077)
        self.addCleanup(os.umask, umask)
        for text, mode in (("0o600", 0o600), ("640", 0o640), ("", 0o700)):
            with self.subTest(text):
                made = self.runtime(ECHO, ASYA_SOCKET_CHMOD=text, ASYA_SOCKET_NAME="other.sock")
                made.socket_path = os.path.join(made.sockets, "other.sock")
                made.start()
                self.assertEqual(mode, stat.S_IMODE(os.stat(made.socket_path).st_mode))
                self.assertEqual(1, made.ask(envelope(1))[0]["payload"])

    def test_what_a_crash_left_is_replaced(self):
        made = self.runtime(ECHO).start()
        made.ask(envelope(1))
        made.process.kill()
        made.wait()
        self.assertEqual(["asya-runtime.sock", "runtime-ready"], made.files())
        made.start()
        made.wait_until(lambda: made.log().count("ready:") == 2, "a second start")
        self.assertEqual(1, made.ask(envelope(1))[0]["payload"])

    def test_what_a_crash_left_is_gone_before_the_handler_loads(self):
        made = self.runtime("""
            import os, time
            while not os.path.exists(os.environ["GO"]):
                time.sleep(0.01)
            def handle(payload):
                return payload
        """)
        made.env["GO"] = made.path("go")
        os.makedirs(made.sockets)
        for path in (made.socket_path, made.ready_path):
            open(path, "w").close()
        made.start(ready=False)
        made.wait_until(lambda: made.files() == [], "removal")
        made.write("go", "")
        made.wait_until(lambda: len(made.files()) == 2, "socket and file")

    def test_a_handler_that_cannot_be_found_leaves_nothing_either(self):
        made = self.runtime(ECHO, "app.nothing")
        os.makedirs(made.sockets)
        for path in (made.socket_path, made.ready_path):
            open(path, "w").close()
        made.start(ready=False)
        self.assertEqual(1, made.wait())
        self.assertEqual([], made.files())

    def test_bad_settings_leave_nothing_either(self):
        for env in ({"ASYA_HANDLER": "nodot"}, {"ASYA_HANDLER_MODE": "both"}):
            with self.subTest(env):
                made = self.runtime(ECHO, **env)
                os.makedirs(made.sockets)
                open(made.ready_path, "w").close()
                made.start(ready=False)
                self.assertEqual(1, made.wait())
                self.assertEqual([], made.files())

    def test_a_ready_file_that_cannot_be_written_is_only_logged(self):
        made = self.runtime("""
            import os
            os.mkdir(os.path.join(os.environ["ASYA_SOCKET_DIR"], "runtime-ready"))
            def handle(payload):
                return payload
        """)
        made.start(ready=False)
        made.wait_until(lambda: "cannot be written" in made.log() and os.path.exists(made.socket_path), "a log line")
        self.assertEqual(1, made.ask(envelope(1))[0]["payload"])

    def test_a_directory_that_cannot_be_made(self):
        self.fails("cannot serve /dev/null/run/asya-runtime.sock", ASYA_SOCKET_DIR="/dev/null/run")

    def test_bad_settings(self):
        for env, message in (
                ({"ASYA_HANDLER_MODE": "both"}, "ASYA_HANDLER_MODE is 'both'; it must be 'payload' or 'envelope'"),
                ({"ASYA_SOCKET_CHMOD": "rw"}, "ASYA_SOCKET_CHMOD is 'rw'"),
                ({"ASYA_SOCKET_CHMOD": "0o999"}, "ASYA_SOCKET_CHMOD"),
                ({"ASYA_CHUNK_SIZE": "0"}, "ASYA_CHUNK_SIZE is '0'; it must be a whole number above zero"),
                ({"ASYA_CHUNK_SIZE": "64k"}, "ASYA_CHUNK_SIZE"), ({"ASYA_MAX_FRAME": "-1"}, "ASYA_MAX_FRAME")):
            with self.subTest(env):
                self.fails(message, **env)

    def test_handler_names(self):
        for name in ("", "handle", ".handle", "app.", "app..handle", "app.handle()", "app.1x", "app-x.handle",
                     "app.handle\n", " app.handle", "app:handle", "äpp.handle"):
            with self.subTest(name):
                self.fails("it must be 'module.function' or 'module.Class.method'", handler=name)
        self.fails("ASYA_HANDLER is ''", ASYA_HANDLER=None)


class Handlers(RuntimeCase):
    PACKAGE = {"pkg/__init__.py": "", "pkg/sub/__init__.py": "",
               "pkg/sub/mod.py": """
                   def run(p):
                       return ["run", p]
                   class Worker:
                       def work(self, p):
                           return {"work": p}
               """}

    def start_with(self, source, handler):
        made = self.runtime(source, handler)
        for name, text in self.PACKAGE.items():
            made.write(name, text)
        return made.start()

    def test_functions_and_methods_are_found(self):
        for handler, payload in (("pkg.sub.mod.run", "run"), ("pkg.sub.mod.Worker.work", {"work": 1}),
                                 ("copy.copy", 1)):
            with self.subTest(handler):
                self.assertEqual(payload, self.start_with("", handler).ask(envelope(1))[0]["payload"])

    def test_a_class_is_made_once(self):
        made = self.start_with("""
            class Counter:
                def __init__(self, start=10, *rest, step=1, **more):
                    self.count, self.step = start, step
                def next(self, payload):
                    self.count += self.step
                    return self.count
                @staticmethod
                def fixed(payload):
                    return "fixed"
                @classmethod
                def named(cls, payload):
                    return cls.__name__
        """, "app.Counter.next")
        self.assertEqual([11, 12, 13], [made.ask(envelope(None))[0]["payload"] for _ in range(3)])
        for method, payload in (("fixed", "fixed"), ("named", "Counter")):
            made.env["ASYA_HANDLER"] = "app.Counter." + method
            made.process.kill()
            made.wait()
            os.unlink(made.ready_path)
            self.assertEqual(payload, made.start().ask(envelope(None))[0]["payload"])

    def test_what_cannot_be_found(self):
        source = """
            class Strict:
                def __init__(self, model, size=3):
                    pass
                def run(self, p):
                    pass
            class Broken:
                def __init__(self):
                    raise OSError("no model file")
                def run(self, p):
                    pass
            class Leaving(Broken):
                def __init__(self):
                    raise SystemExit(0)
            class Good:
                number = 5
                class Inner:
                    def run(self, p):
                        pass
            def handle(p):
                pass
            number = 5
        """
        for handler, message in (
                ("nowhere.handle", "module 'nowhere' not found; is it in the image and its directory on PYTHONPATH?"),
                ("nowhere.at.all.handle", "module 'nowhere' not found"),
                ("app.nothing", "module 'app' has no 'nothing'"), ("app.nothing.run", "module 'app' has no 'nothing'"),
                ("app.Good.nothing", "class 'Good' has no 'nothing'"),
                ("app.Good.Inner.run", "module 'app' has no submodule 'Good'"),
                ("app.Good", "'app.Good' is a class; name its method, too"),
                ("app.number", "'app.number' is not callable"),
                ("app.Good.number", "'app.Good.number' is not callable"),
                ("app.handle.run", "'handle' of module 'app' is not a class"),
                ("app.Strict.run", "parameter 'model' of Strict.__init__ needs a default"),
                ("app.Broken.run", "Broken() failed: no model file"), ("app.Leaving.run", "Leaving() failed: 0")):
            with self.subTest(handler):
                self.fails(message, source, handler)

    def test_a_module_that_fails_is_not_a_module_that_is_missing(self):
        for source, message in (
                ("import numpyy", "module 'app' cannot be imported: No module named 'numpyy'"),
                ("from os import nothing_like_it", "module 'app' cannot be imported: cannot import name"),
                ("import app.missing", "module 'app' cannot be imported: No module named 'app.missing'"),
                ("raise ImportError", "module 'app' cannot be imported: ImportError"),
                ("def handle(:", "module 'app' cannot be imported: "),
                ("1 / 0", "cannot be imported: division by zero"),
                ("raise SystemExit(0)", "module 'app' cannot be imported: 0")):
            with self.subTest(source):
                log = self.fails(message, source)
                self.assertIn("Traceback", log)
                self.assertNotIn("not found", log)

    def test_a_submodule_that_fails_is_told_apart_too(self):
        made = self.runtime("", "pkg.mod.run")
        made.write("pkg/__init__.py", "")
        made.write("pkg/mod.py", "import pkg.other\n")
        made.start(ready=False)
        self.assertEqual(1, made.wait())
        self.assertIn("module 'pkg.mod' cannot be imported: No module named 'pkg.other'", made.log())


class Stop(RuntimeCase):
    def assert_gone(self, made):
        self.assertEqual(0, made.wait(), made.log())
        self.assertEqual([], made.files())

    def test_while_idle(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                made = self.runtime(ECHO).start()
                made.ask(envelope(1))
                began = time.monotonic()
                made.signal(number)
                self.assert_gone(made)
                self.assertLess(time.monotonic() - began, 2)

    def test_a_running_request_is_finished(self):
        made = self.runtime(SLOW).start()
        with made.connect() as connection:
            connection.sendall(frame(envelope(made.path("begun"))))
            made.wait_until(lambda: os.path.exists(made.path("begun")), "the request's begin")
            made.signal(signal.SIGTERM)
            made.wait_until(lambda: made.files() == [], "removal of the files")
            self.assertIsNone(made.process.poll(), "it did not wait")
            made.signal(signal.SIGTERM)  # impatience changes nothing
            self.assertEqual("done", decode(read_to_end(connection))[0]["payload"])
        self.assert_gone(made)

    def test_a_request_that_is_being_sent_is_finished(self):
        made = self.runtime(ECHO).start()
        whole = frame(envelope("p"))
        with made.connect() as connection:
            connection.sendall(whole[:7])
            time.sleep(0.2)
            made.signal(signal.SIGTERM)
            made.wait_until(lambda: made.files() == [], "removal of the files")
            time.sleep(0.2)
            connection.sendall(whole[7:])
            self.assertEqual("p", decode(read_to_end(connection))[0]["payload"])
        self.assert_gone(made)

    def test_a_sidecar_that_has_just_connected_is_served(self):
        made = self.runtime(ECHO).start()
        made.ask(envelope(1))
        with made.connect() as connection:
            made.signal(signal.SIGTERM)
            made.wait_until(lambda: made.files() == [], "removal of the files")
            connection.sendall(frame(envelope("p")))
            self.assertEqual("p", decode(read_to_end(connection))[0]["payload"])
        self.assert_gone(made)

    def test_a_sidecar_that_waits_behind_a_running_request_is_served(self):
        made = self.runtime(SLOW).start()
        with made.connect() as first, made.connect() as second:
            first.sendall(frame(envelope(made.path("begun"))))
            second.sendall(frame(envelope(made.path("second"))))
            made.wait_until(lambda: os.path.exists(made.path("begun")), "the request's begin")
            made.signal(signal.SIGTERM)
            for connection in (first, second):
                self.assertEqual("done", decode(read_to_end(connection))[0]["payload"])
        self.assert_gone(made)

    def test_a_silent_connection_does_not_hold_it(self):
        made = self.runtime(ECHO).start()
        with made.connect():
            time.sleep(0.2)
            began = time.monotonic()
            made.signal(signal.SIGTERM)
            self.assert_gone(made)
            self.assertLess(time.monotonic() - began, 5)

    def test_while_the_handler_loads(self):
        made = self.runtime("""
            import os, time
            open(os.environ["BEGUN"], "w").close()
            time.sleep(60)
        """)
        made.env["BEGUN"] = made.path("begun")
        made.start(ready=False)
        made.wait_until(lambda: os.path.exists(made.path("begun")), "the import")
        made.signal(signal.SIGTERM)
        self.assert_gone(made)

    def test_a_handler_module_cannot_take_the_signal_away(self):
        made = self.runtime("""
            import signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            def handle(payload):
                return payload
        """).start()
        made.signal(signal.SIGTERM)
        self.assert_gone(made)

    def test_children_of_the_handler_die_alone(self):
        made = self.runtime("""
            import multiprocessing, time
            def handle(payload):
                child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
                child.start()
                time.sleep(0.2)
                child.terminate()
                child.join(10)
                return child.exitcode
        """).start()
        self.assertEqual(-signal.SIGTERM, made.ask(envelope(1))[0]["payload"])
        self.assertEqual(["asya-runtime.sock", "runtime-ready"], made.files())
        self.assertEqual(-signal.SIGTERM, made.ask(envelope(1))[0]["payload"])

    def test_default_timeouts_of_the_handler_do_not_matter(self):
        made = self.runtime("""
            import socket
            socket.setdefaulttimeout(0.1)
            def handle(payload):
                return payload
        """).start()
        with made.connect() as connection:
            connection.sendall(frame(envelope(1))[:6])
            time.sleep(0.5)
            connection.sendall(frame(envelope(1))[6:])
            self.assertEqual(1, decode(read_to_end(connection))[0]["payload"])

    def test_many_open_files_do_not_matter(self):
        made = self.runtime("""
            import os, resource
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            want = 3000 if hard == resource.RLIM_INFINITY else min(hard, 3000)
            resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
            KEPT = [os.open("/dev/null", os.O_RDONLY) for _ in range(min(want, 1500) - 50)]
            def handle(payload):
                return len(KEPT)
        """).start()
        self.assertGreater(made.ask(envelope(1))[0]["payload"], 900)


class Source(RuntimeCase):
    def setUp(self):
        with open(SCRIPT, encoding="utf-8") as file:
            self.text = file.read()
        self.tree = ast.parse(self.text, feature_version=(3, 8))

    def test_the_standard_library_is_enough(self):
        modules = {alias.name for node in ast.walk(self.tree) if isinstance(node, ast.Import) for alias in node.names}
        self.assertFalse([node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)])
        known = getattr(sys, "stdlib_module_names", None)
        if known is None:  # before 3.10
            known = {"copy", "importlib", "inspect", "json", "logging", "os", "re", "select", "signal", "socket",
                     "struct", "sys", "time", "traceback"}
        self.assertLessEqual(modules, set(known))

    def test_nothing_is_annotated(self):
        # Annotations are where 3.10 syntax creeps in unnoticed: they parse everywhere and fail when run.
        self.assertFalse([node for node in ast.walk(self.tree) if isinstance(node, ast.AnnAssign)
                          or getattr(node, "annotation", None) or getattr(node, "returns", None)])

    def test_every_setting_is_documented(self):
        texts = [node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant)]
        names = {text for text in texts if isinstance(text, str) and re.fullmatch("ASYA_[A-Z_]+", text)}
        self.assertEqual(9, len(names), names)
        for name in names:
            self.assertIn(name, ast.get_docstring(self.tree))

    def test_it_fits_a_config_map(self):
        self.assertLess(len(self.text.encode("utf-8")), 64 * 1024)
        self.assertLessEqual(self.text.count("\n"), 600)
