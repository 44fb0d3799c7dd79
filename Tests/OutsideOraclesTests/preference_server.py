"""A judge that prefers the shorter answer, for tests: a command (`command MODE LOG`) or a server (`http MODE LOG`).

Every judgement it gives is a line of LOG: what it gave twice is there twice. MODE says how it misbehaves:
good, slow, loud (writes to stderr), dies (after three answers), hangs (in its first life, after three), mute (never answers),
babbles (every fourth answer is no JSON), wrong (a probability of 2), shuffled (answers in reverse order).
"""

import http.server
import json
import os
import signal
import sys
import threading
import time

KIND, MODE, LOG = sys.argv[1:4]
LOCK = threading.Lock()


def judge(question):
    a, b = len(question["a"]), len(question["b"])
    return 0.75 if a < b else 0.5 if a == b else 0.25


def log(text):
    with LOCK, open(LOG, "a", encoding="utf-8") as file:
        file.write(text + "\n")


def key(question):
    return json.dumps([question["prompt"], question["a"], question["b"]], sort_keys=True)


def answer(question):
    log(key(question))
    print(json.dumps({"id": question["id"], "probability": judge(question)}), flush=True)


def command():
    first_life = not os.path.exists(LOG + ".lives")
    with open(LOG + ".lives", "a", encoding="utf-8") as file:
        file.write("life\n")
    waiting = []
    for count, line in enumerate(sys.stdin):
        question = json.loads(line)
        if MODE == "loud" and count == 0:
            print("the judge has warmed up", file=sys.stderr, flush=True)
        if MODE == "slow":
            time.sleep(0.02)
        if MODE == "mute" or (MODE == "hangs" and first_life and count >= 3):
            continue
        if MODE == "dies" and count == 3:
            sys.exit(3)
        if MODE == "babbles" and count % 4 == 1:
            print("Certainly! Here is", flush=True)
        elif MODE == "wrong":
            print(json.dumps({"id": question["id"], "probability": 2}), flush=True)
        elif MODE == "shuffled":
            waiting.append(question)
            if len(waiting) == 4:
                while waiting:
                    answer(waiting.pop())
        else:
            answer(question)


class Handler(http.server.BaseHTTPRequestHandler):
    count = 0

    def do_POST(self):  # noqa: N802, the name is the library's
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with LOCK:
            Handler.count += 1
            turn = Handler.count
        if MODE == "slow":
            time.sleep(0.02)
        if MODE == "mute" or (MODE == "hangs" and turn <= 3):
            time.sleep(2)
            return
        if MODE == "dies" and turn % 3 == 0:
            self.connection.close()
            return
        if MODE == "guarded" and self.headers.get("Authorization") != "Bearer secret":
            self.reply(401, b"who are you?")
        elif MODE == "busy" and turn % 3 != 0:
            self.reply(503 if turn % 2 else 429, b"later")
        elif MODE == "babbles" and turn % 4 == 1:
            self.reply(200, b"Certainly! Here is")
        elif MODE == "wrong":
            self.reply(200, b'{"probability": 2}')
        else:
            log(key(question))
            self.reply(200, json.dumps({"probability": judge(question)}).encode())

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# The threads of a test block the signal; a child would inherit that, and outlive it.
signal.pthread_sigmask(signal.SIG_SETMASK, [])
if KIND == "command":
    command()
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with open(LOG + ".part", "w", encoding="utf-8") as port:
        port.write(str(server.server_address[1]))
    os.rename(LOG + ".part", LOG + ".port")
    server.serve_forever()
