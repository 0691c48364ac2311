"""Certificates and kubeconfigs of a bed, made with openssl. Elliptic curve keys: they take milliseconds."""
import base64
import json
import os
import shutil
import subprocess

from common import Fail, write_file

DAYS = "3650"
SERVER_NAMES = ("DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
                "DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1")


def openssl(folder, *arguments):
    done = subprocess.run(["openssl"] + list(arguments), cwd=folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, universal_newlines=True, check=False,
                          preexec_fn=lambda: os.umask(0o077))
    if done.returncode:
        raise Fail(f"openssl {arguments[0]} failed: {done.stderr.strip().splitlines()[-1:]}")


def make_authority(folder):
    """The bed's own CA and the key pair that signs service account tokens."""
    if not shutil.which("openssl"):
        raise Fail("openssl is missing: apt-get install openssl", 3)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # The settings of the machine's openssl.cnf must not leak in: bring the few we need.
    write_file(os.path.join(folder, "openssl.cnf"),
               "[req]\ndistinguished_name=dn\nstring_mask=utf8only\n[dn]\n"
               "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\n"
               "subjectKeyIdentifier=hash\n"
               "[client]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"
               "[both]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
               f"subjectAltName={SERVER_NAMES}\n"
               "[server]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
               f"subjectAltName={SERVER_NAMES}\n")
    openssl(folder, "req", "-x509", "-config", "openssl.cnf", "-extensions", "ca", "-newkey", "ec",
            "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256", "-days", DAYS, "-subj", "/CN=bed-ca",
            "-keyout", "ca.key", "-out", "ca.crt")
    openssl(folder, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", "sa.key")
    openssl(folder, "pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub")


def make_certificate(folder, name, user, groups=(), use="client"):
    """A key and certificate name.key, name.crt; Kubernetes reads the user from CN and the groups from O."""
    subject = "".join(f"/O={escape(group)}" for group in groups) + f"/CN={escape(user)}"
    openssl(folder, "req", "-new", "-config", "openssl.cnf", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-utf8", "-subj", subject,
            "-keyout", name + ".key", "-out", name + ".csr")
    serial = "0x" + os.urandom(15).hex()
    openssl(folder, "x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-set_serial", serial,
            "-sha256", "-days", DAYS, "-extfile", "openssl.cnf", "-extensions", use, "-out", name + ".crt")
    os.unlink(os.path.join(folder, name + ".csr"))


def escape(text):
    return text.replace("\\", "\\\\").replace("/", "\\/").replace("+", "\\+")


def write_kubeconfig(path, folder, name, port):
    """A kubeconfig with everything inside, so that it may be copied anywhere. JSON is YAML."""
    def data(file):
        with open(os.path.join(folder, file), "rb") as f:
            return base64.b64encode(f.read()).decode()

    user = {"client-certificate-data": data(name + ".crt"), "client-key-data": data(name + ".key")}
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": data("ca.crt")}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "bed",
        "clusters": [{"name": "bed", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": name}}],
    }
    write_file(path, json.dumps(config, indent=1) + "\n", 0o600)
