#!/usr/bin/env python3
"""A release server like GitHub's for tests: real HTTPS with a CA of its own, a store that it redirects to, and a proxy.

    spec/releases.py FOLDER

FOLDER/releases/VERSION/ASSET is what has been released. FOLDER gets ca.crt, `ports` (one line: server, store, proxy; written last) and
`log`, one line for each request: who got it, what was asked for, and the token it brought or "-".

    /OWNER/REPO/releases/download/VERSION/ASSET  302 to the store under its other host name; 404, also for versions private...
    /store/VERSION/ASSET                         the file
    /api/repos/OWNER/REPO/releases/tags/VERSION  with a token: the release as JSON, whose asset's url gives a 302 to the store
    /to/URL                                      302 to the URL, percent-encoded
    /loop  /status/N  /slow  /huge  /gzip        what their names say

Ends with its owner: when the standard input is closed.
"""
import gzip
import http.server
import json
import os
import pathlib
import select
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse

CONFIG = """[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:TRUE
keyUsage=critical,keyCertSign
[server]
basicConstraints=CA:FALSE
subjectAltName=DNS:localhost,IP:127.0.0.1
"""


def make_certificates(folder):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    (folder / "openssl.cnf").write_text(CONFIG)
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", "-config", "openssl.cnf", "-extensions", "ca", *new_key, "-days", "30", "-subj", "/CN=releases",
            "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", "-new", "-config", "openssl.cnf", *new_key, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", "0x" + os.urandom(8).hex(),
            "-days", "30", "-extfile", "openssl.cnf", "-extensions", "server", "-out", "server.crt")


class Log:
    def __init__(self, path):
        self.file, self.lock = open(path, "a", encoding="utf-8", buffering=1), threading.Lock()

    def write(self, *words):
        with self.lock:
            self.file.write(" ".join(words) + "\n")


class Releases(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def redirect(self, url):
        self.answer(302, Location=url)

    def send_release(self, version, asset):
        path = self.server.folder / "releases" / version / asset
        if path.is_file():
            self.answer(200, path.read_bytes())
        else:
            self.answer(404, b"Not\nFound")

    def send_listing(self, version):
        foreign = version.startswith("private-foreign")
        base = self.server.store if foreign else f"https://{self.headers['Host']}"
        assets = [{"name": "README", "url": f"{base}/api/assets/readme"}]
        if (self.server.folder / "releases" / version / "asya_runtime.py").is_file():
            assets.append({"name": "asya_runtime.py", "url": f"{base}/api/assets/{version}"})
        self.answer(200, json.dumps({"assets": assets}).encode(), Content_Type="application/json")

    def send_huge(self):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(b"x" * 65536)

    def do_GET(self):
        self.server.log.write(self.server.label, self.path, self.headers.get("Authorization", "-"))
        parts = [urllib.parse.unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]
        try:
            if parts[2:4] == ["releases", "download"]:
                path = self.server.folder / "releases" / parts[4] / parts[5]
                released = path.is_file() and not parts[4].startswith("private")
                self.redirect(f"{self.server.store}/store/{urllib.parse.quote(parts[4])}/{parts[5]}?signature=s") if released else self.answer(404, b"Not\nFound")
            elif parts[0] == "api" and not self.headers.get("Authorization"):
                self.answer(404, b"Not\nFound")
            elif parts[0] == "api" and parts[1] == "assets":
                self.redirect(f"{self.server.store}/store/{parts[2]}/asya_runtime.py?signature=s")
            elif parts[0] == "api":
                self.send_listing(parts[-1])
            elif parts[0] == "store":
                self.send_release(parts[1], parts[2])
            elif parts[0] == "to":
                self.redirect(parts[1])
            elif parts[0] == "loop":
                self.redirect(self.path)
            elif parts[0] == "status":
                self.answer(int(parts[1]), b"<html>no</html>", Retry_After="7")
            elif parts[0] == "slow":
                self.server.stop.wait()
            elif parts[0] == "huge":
                self.send_huge()
            elif parts[0] == "gzip":
                self.answer(200, gzip.compress(b"x" * 1000000), Content_Encoding="gzip")
            else:
                self.answer(404)
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True


class Proxy(http.server.BaseHTTPRequestHandler):
    """CONNECT, and nothing else."""

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        self.server.log.write("proxy", self.path, self.headers.get("Authorization", "-"))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            here = self.connection
            while True:
                for side in select.select([here, there], [], [])[0]:
                    data = side.recv(65536)
                    if not data:
                        return
                    (there if side is here else here).sendall(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a client that hangs up is none of ours


def serve(handler, label, folder, log, context):
    server = Server(("127.0.0.1", 0), handler)
    server.label, server.folder, server.log, server.stop = label, folder, log, threading.Event()
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    log = Log(folder / "log")
    server = serve(Releases, "server", folder, log, context)
    store = serve(Releases, "store", folder, log, context)
    proxy = serve(Proxy, "proxy", folder, log, None)
    server.store = store.store = f"https://localhost:{store.server_port}"
    ports = folder / "ports.new"
    ports.write_text(f"{server.server_port} {store.server_port} {proxy.server_port}\n")
    ports.rename(folder / "ports")
    sys.stdin.read()


if __name__ == "__main__":
    main()
