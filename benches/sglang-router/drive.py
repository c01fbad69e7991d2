"""Drives the published sglang-router over stub workers on the loopback interface and writes down what it chose.

One request at a time is decided: the next is sent when the one before has reached its worker. Workers hold requests open
until the driver lets them answer, so that requests in flight are what the script says. Every wait has a limit, and the
whole run stops by itself. Only the standard library is used, and only 127.0.0.1 is spoken to.

The first line of the log counts the operations on the router's tree so far; each of the others is a decision: the nodes of the prompt with their ends, the requests in flight of each worker before
it, how often the router's tree had been trimmed by then, and the worker that got it.
"""

import argparse
import http.client
import json
import queue
import random
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
WAIT_S = 10.0
NODE = 64  # characters of a node, and letters that no sibling begins with
ALPHABET = [chr(c) for c in range(0x4E00, 0x9F00)]


class Arrivals:
    """What reached the workers, and which requests may be answered."""

    def __init__(self):
        self.reached = queue.Queue()
        self.gates = {}

    def gate(self, request):
        return self.gates.setdefault(request, threading.Event())


def worker(index, arrivals):
    class Stub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, body):
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.answer({"model_path": "stub", "served_model_name": "stub", "status": "ok", "tp_size": 1, "dp_size": 1})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = int(body["rid"])
            gate = arrivals.gate(request)
            arrivals.reached.put((request, index))
            gate.wait(60)
            self.answer({"text": "done", "meta_info": {"id": body["rid"]}})

    server = ThreadingHTTPServer((HOST, 0), Stub)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


class Router:
    """The router as a child process."""

    def __init__(self, ports, options, log):
        self.port = free_port()
        self.operations = 0
        self.evictions = 0
        self.evicted_at = None
        # That the tree was trimmed is told at debug level only.
        command = [
            sys.executable, "-m", "sglang_router.launch_router", "--host", HOST, "--port", str(self.port),
            "--policy", "cache_aware", "--prometheus-port", str(free_port()), "--log-level", "debug",
            "--worker-urls", *[f"http://{HOST}:{p}" for p in ports], *options,
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.log = open(log, "w")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.log.write(line)
            # Every worker that registers enters all that are known by then: a race that shifts the count of operations.
            entered = re.search(r"Initializing cache-aware policy with (\d+) workers", line)
            self.operations += int(entered[1]) if entered else 0
            if re.search(r"[Ee]viction completed", line):
                self.evicted_at = time.monotonic()
                self.evictions += 1

    def quiet(self, interval):
        """Waits while a trimming is near, so that none falls into a decision."""
        seen, end = self.evictions, time.monotonic() + interval + WAIT_S
        near = self.evicted_at is None or time.monotonic() - self.evicted_at > interval - 0.3
        while near and self.evictions == seen and time.monotonic() < end:
            time.sleep(0.02)

    def send(self, request, text):
        connection = http.client.HTTPConnection(HOST, self.port, timeout=70)
        body = json.dumps({"text": text, "rid": str(request), "sampling_params": {"max_new_tokens": 1}})
        connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    def wait(self, workers):
        end = time.monotonic() + 90
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"the router exited with {self.process.returncode}; see its log")
            try:
                connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
                connection.request("GET", "/workers")
                listed = json.loads(connection.getresponse().read())
                if sum(bool(w.get("is_healthy")) for w in listed.get("workers", [])) == workers:
                    return
            except (OSError, ValueError, http.client.HTTPException):
                pass
            time.sleep(0.2)
        raise SystemExit("the router did not get ready in 90 s")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Prompts:
    """Texts that share prefixes: random walks in a growing tree whose siblings differ from the first letter on."""

    def __init__(self, rng):
        self.rng = rng
        self.children = {None: []}
        self.count = 0

    def grow(self, parent):
        node = self.count
        self.count += 1
        siblings = self.children[parent]
        letter = ALPHABET[len(siblings)]
        text = letter + format(node, "x").rjust(8, "0") * (NODE // 8)
        siblings.append((node, text[:NODE]))
        self.children[node] = []
        return siblings[-1]

    def unheard(self):
        node, text = self.grow(None)
        return text, [[node, NODE]]

    def draw(self):
        path, parent = [], None
        depth = self.rng.choice([1, 2, 3, 5, 8, 12])
        while len(path) < depth:
            siblings = self.children[parent]
            # Popular nodes are the old ones; a new one now and then, and often near the end.
            fresh = not siblings or self.rng.random() < (0.15 if len(path) + 1 < depth else 0.5)
            node = self.grow(parent) if fresh else siblings[int(len(siblings) * self.rng.random() ** 3)]
            path.append(node)
            parent = node[0]
        text, ends = "", []
        for node, piece in path:
            text += piece
            ends.append([node, len(text)])
        cut = self.rng.randrange(1, NODE + 1)
        text = text[: len(text) - NODE + cut]
        ends[-1][1] = len(text)
        return text, ends


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--open", type=int, default=24, help="requests held open, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--evict-s", type=int, default=0, help="trim the tree in this interval; 0: not in this run")
    parser.add_argument("--limit-s", type=float, default=120)
    parser.add_argument("--out", required=True)
    options, router_options = parser.parse_known_args()

    rng = random.Random(options.seed)
    arrivals = Arrivals()
    ports = [worker(index, arrivals) for index in range(options.workers)]
    interval = ["--eviction-interval-secs", str(options.evict_s or 3600)]
    router = Router(ports, interval + router_options, options.out + ".router.log")
    pool = ThreadPoolExecutor(16 * options.open)
    prompts = Prompts(rng)
    in_flight = [0] * options.workers
    live = []
    started = time.monotonic()

    def offer(request, text):
        answer = pool.submit(router.send, request, text)
        reached, chosen = arrivals.reached.get(timeout=WAIT_S)
        assert reached == request, "a request of before arrived late"
        in_flight[chosen] += 1
        live.append((request, chosen, answer))
        return chosen

    def release(at):
        request, chosen, answer = live.pop(at)
        arrivals.gate(request).set()
        status = answer.result(timeout=WAIT_S)
        assert status == 200, f"request {request} failed with {status}"
        # The router takes the request off its count once the answer is on its way out.
        time.sleep(0.002)
        in_flight[chosen] -= 1

    try:
        router.wait(options.workers)
        time.sleep(0.5)
        with open(options.out, "w") as log:
            log.write(json.dumps({"operations": router.operations}) + "\n")
            for request in range(options.requests):
                if time.monotonic() - started > options.limit_s:
                    print(f"stopped after {request} requests: the time is up", file=sys.stderr)
                    break
                # Texts that nothing matches go to the least loaded, the first among equals: the router's order of workers.
                text, ends = prompts.unheard() if request < options.workers else prompts.draw()
                if options.evict_s and request >= options.workers:
                    router.quiet(options.evict_s)
                before, evictions = list(in_flight), router.evictions
                chosen = offer(request, text)
                log.write(json.dumps({"runs": ends, "in_flight": before, "evictions": evictions, "chosen": chosen}) + "\n")
                while len(live) > options.open * rng.choice([0.2, 1, 1.4]):
                    release(rng.randrange(len(live)))
        while live:
            release(0)
    finally:
        for gate in arrivals.gates.values():
            gate.set()
        router.stop()
        pool.shutdown(wait=False, cancel_futures=True)


main()
