"""Types command lines into an interactive shell, presses Tab after each, and prints what they are then: press.py SHELL RC TYPED..."""
import os
import pty
import re
import select
import sys
import time

PATIENCE = 20
READY, LINE = "shell-is-ready", "the-line-is"


def read_until(terminal, pattern):
    text, until = "", time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
        found = re.search(pattern, text)
        if found:
            return found
    sys.exit("no answer within %d s:\n%s" % (PATIENCE, text))


def main():
    shell, rc, *lines = sys.argv[1:]
    child, terminal = pty.fork()
    if child == 0:
        shell = shell.split()
        os.execvpe(shell[0], shell, dict(os.environ, TERM="dumb", PS1="", HISTFILE=""))
    # quotes in the middle of a word: what the shell echoes of the command does not hold the word
    os.write(terminal, ("%s\necho shell-'is'-ready\n" % rc).encode())
    read_until(terminal, READY)
    for typed in lines:
        # Tab; then Ctrl-A and Ctrl-E, the beginning and the end of the line, to make it an argument of echo
        os.write(terminal, ("%s\t\x01echo the-'line'-is '\x05'\n" % typed).encode())
        print(read_until(terminal, LINE + " ([^\r\n]*)\r?\n").group(1))
    os.kill(child, 9)
    os.waitpid(child, 0)


main()
