"""Builds a Go program of three packages as the bed builds its tools, with a heartbeat that is quick: selftest_progress.py FOLDER"""
import os
import sys

import builder
from common import write_file

# Long enough to compile that a heartbeat falls into it.
SLOW = "package %s\n\n" + "\n".join(f"func F{i}(a, b map[int]string) string {{ return a[{i}] + b[{i}] }}" for i in range(1000)) + "\n"


def main(folder):
    for name in ("one", "two", "scratch"):
        os.makedirs(os.path.join(folder, name))
    write_file(os.path.join(folder, "go.mod"), "module three\n\ngo 1.21\n")
    write_file(os.path.join(folder, "one", "one.go"), SLOW % "one")
    write_file(os.path.join(folder, "two", "two.go"), SLOW % "two")
    write_file(os.path.join(folder, "main.go"),
               'package main\n\nimport (\n\t"three/one"\n\t"three/two"\n)\n\nfunc main() { println(one.F0(nil, nil), two.F0(nil, nil)) }\n')
    builder.HEARTBEAT = 0.05
    builder.compile_go(["-trimpath"], ".", os.path.join(folder, "program"), folder, os.path.join(folder, "scratch"),
                       os.path.join(folder, "log"), "three")


main(sys.argv[1])
