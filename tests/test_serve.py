"The server beyond its lesson: anything as a request, crowds, signals"
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ftlab.core import load_model
from ftlab.serve import Engine, Limits, Refusal, Server, read_request

NAMES = ["base", "left", "right"]
GOOD = {"model": "left", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 6}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    box, made = tmp_path_factory.mktemp("adapters"), {}
    for i, name in enumerate(NAMES[1:]):
        torch.manual_seed(i)
        tuned = peft.get_peft_model(load_model("tiny", "random", device="cpu")[0], peft.LoraConfig(
            r=4, target_modules=["q_proj", "v_proj"] if i else "all-linear"))
        for key, p in tuned.named_parameters():
            if "lora_B" in key: p.data.normal_()
        tuned.save_pretrained(box/name, save_embedding_layers=False)
        made[name] = box/name
    return made


@pytest.fixture
def server(adapters):
    with Server(Engine(*load_model("tiny", "random", device="cpu"), adapters, limits=Limits(max_tokens=64, queue=4))) as s:
        yield s


def call(server, body, path="/v1/chat/completions"):
    place = http.client.HTTPConnection(*server.listener.getsockname()[:2], timeout=60)
    place.request("POST" if body is not None else "GET", path, body and json.dumps(body), {"Content-Type": "application/json"})
    answer = place.getresponse()
    return answer.status, json.loads(answer.read())


values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner:
    st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "user", "x"]), inner, max_size=3), max_leaves=8)
keys = st.sampled_from("model messages max_tokens max_completion_tokens temperature top_p n stream seed user tools".split())


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(keys, values) | values)
def test_any_json_is_answered_or_refused(body):
    if isinstance(body, dict): body = GOOD | body
    limits = Limits()
    try: got = read_request(body, NAMES, limits)
    except Refusal as e:
        assert e.status in (400, 404) and e.body()["error"]["message"]
        json.dumps(e.body())
    else:
        assert got["model"] in NAMES and 1 <= got["max_tokens"] <= limits.max_tokens
        assert 0 <= got["temperature"] <= 2 and 0 < got["top_p"] <= 1 and 1 <= len(got["messages"]) <= limits.messages


def test_a_crowd_is_answered_or_told_to_wait(server):
    "Nothing else than 200 and 503, every 200 as if alone, and afterwards an empty queue"
    alone = {n: call(server, GOOD | {"model": n})[1]["choices"][0]["message"]["content"] for n in NAMES}
    asked = NAMES*10
    with ThreadPoolExecutor(12) as ex: got = list(ex.map(lambda n: call(server, GOOD | {"model": n}), asked))
    count = Counter(status for status, _ in got)
    assert set(count) <= {200, 503} and count[200] >= 4
    for name, (status, answer) in zip(asked, got):
        if status == 200: assert answer["choices"][0]["message"]["content"] == alone[name]
        else: assert answer["error"]["code"] == "busy" and answer["error"]["type"] == "server_error"
    time.sleep(.3)
    assert call(server, None, "/health")[1] == {"status": "ok", "queued": 0}


def test_a_failing_generation_does_not_stop_the_next(server):
    kept, server.engine.model.generate = server.engine.model.generate, None
    assert call(server, GOOD)[0] == 500
    server.engine.model.generate = kept
    assert call(server, GOOD)[0] == 200


def test_no_adapters_at_all():
    engine = Engine(*load_model("tiny", "random", device="cpu"), {}, base="only")
    with Server(engine) as server:
        assert call(server, GOOD | {"model": "only"})[0] == 200
        assert call(server, GOOD)[0] == 404


def test_stops_while_a_client_waits(adapters):
    engine = Engine(*load_model("tiny", "random", device="cpu"), adapters)
    kept = engine.model.generate
    def slowly(**how): how["streamer"].emit = lambda piece: time.sleep(.2); return kept(**how)
    engine.model.generate = slowly
    with Server(engine) as server:
        waiting = threading.Thread(target=lambda: call(server, GOOD | {"max_tokens": 64}))
        waiting.start()
        while not engine.jobs: time.sleep(.01)
        start = time.time()
    assert time.time() - start < 8 and not server.thread.is_alive()
    waiting.join(5)


def test_ipv6():
    try: socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError: pytest.skip("no IPv6 here")
    with Server(Engine(*load_model("tiny", "random", device="cpu"), {}), host="::1") as server:
        assert server.url.startswith("http://[::1]:") and call(server, None, "/health")[0] == 200


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_it_cleanly(adapters, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as s: port = s.getsockname()[1]
    code = f"from ftlab.serve import serve; serve('tiny', {{'left': {str(adapters['left'])!r}}}, port={port}, weights='random')"
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stdout.readline() == f"http://127.0.0.1:{port}/v1 serves tiny, left; Ctrl-C stops it\n"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=20)
    finally: running.kill()
    assert running.returncode == 0 and "Traceback" not in err
