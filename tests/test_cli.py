"The command: what each one prints, its exit code, its errors in one sentence, and what it doesn't import."
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ftlab import __version__, cli
from ftlab.cli import main

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ["decide", "params", "memory", "data doctor", "data convert", "data show", "data prepare", "train",
            "reproduce", "eval", "merge", "export", "serve", "run"]
TINY = ["model=tiny", "weights=random", "dtype=float32", "max_length=512", "per_device_train_batch_size=2"]


@pytest.fixture
def cmd(capsys):
    "Run the command in this process: (exit code, stdout, stderr)"
    def run(*args):
        capsys.readouterr()
        code = main([str(a) for a in args])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return code, said.out, said.err
    return run


@pytest.fixture
def refuses(cmd):
    "The command could not: exit code 2, one line on stderr that holds `words`, and as JSON if asked"
    def run(*args, words):
        code, out, err = cmd(*args)
        assert code == 2
        assert err.startswith("ftlab: ") and err.count("\n") == 1 and words in err, err
        assert out == "" or json.loads(out) == {"error": err.removeprefix("ftlab: ").strip()}
        assert bool(out) == ("--json" in args)
        return err
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")/"some.jsonl"
    rows = [{"prompt": f"at {h} o'clock", "completion": f"0 {h} * * *"} for h in range(8)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data):
    "A run directory that `ftlab train` made"
    run = tmp_path_factory.mktemp("runs")/"tiny"
    assert main(["train", "cron-smollm2-cpu", *TINY, f"data={data}", "max_steps=3", "--run", str(run)]) == 0
    return run


def started(code, *args, **env):
    "Python in a process of its own"
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, env=os.environ | env)


# ---- the frame

def test_light_commands_import_nothing_heavy():
    code = """if True:
        import sys
        from ftlab.cli import main
        for line in sys.argv[1:]:
            assert main(line.split()) == 0, line
            more = set() if line.startswith("data") else {"numpy"}          # fingerprints are arrays
            heavy = ({"torch", "transformers", "datasets", "peft"} | more) & set(sys.modules)
            assert not heavy, f"{line} imported {heavy}"
    """
    done = started(code, "--help", "--version", "decide --behaviour --json", "params llama-2-7b --json", "params tiny",
                   "params gpt3-175b -r 8 --target q,v --dora",
                   "memory llama-2-7b --method qlora --gpu 24GB", f"data doctor {ROOT/'data/cron/dev.jsonl'}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_that_parses(command, cmd):
    code, out, err = cmd(*command.split(), "--help")
    assert code == 0 and err == ""
    example = re.search(r"Example:\s+ftlab\s+(.+?)\s*\n\s*\n", out.replace("│", " "), re.DOTALL)[1].split()
    assert example[:len(command.split())] == command.split()
    import typer
    tree = typer.main.get_command(cli.app)
    for name in command.split(): tree = tree.commands[name]
    tree.make_context(command, example[len(command.split()):])   # raises on an unknown option


def test_nothing_more_than_what_works(cmd):
    import typer
    tree = typer.main.get_command(cli.app)
    have = {name for name in tree.commands if name != "data"} | {f"data {n}" for n in tree.commands["data"].commands}
    assert have == set(COMMANDS)


def test_help_without_words(cmd):
    for args in ([], ["data"]):
        code, out, err = cmd(*args)
        assert code == 0 and "Usage: ftlab" in out and err == ""


def test_version(cmd): assert cmd("--version") == (0, f"ftlab {__version__}\n", "")


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "ftlab.cli", "params", "tiny", "-r", "0", "--json"],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "r=0" in json.loads(done.stdout)["error"] and "Traceback" not in done.stderr


def test_usage_errors(refuses):
    refuses("nope", words="No such command 'nope'")
    refuses("params", words="see `ftlab params --help`")
    refuses("params", "tiny", "--colour", words="--colour")
    refuses("params", "tiny", "-r", "x", "--json", words="integer")


def test_ctrl_c(cmd, data, monkeypatch, tmp_path):
    monkeypatch.setattr("ftlab.train.finetune", lambda *args: signal.raise_signal(signal.SIGINT))
    code, out, err = cmd("train", "cron-smollm2-cpu", *TINY, f"data={data}", "--run", tmp_path/"r")
    assert code == 130 and err.endswith("\nftlab: stopped by Ctrl-C\n") and out == ""


def test_a_reader_that_leaves(tmp_path):
    bad = tmp_path/"bad.jsonl"
    bad.write_text("x\n"*3000)
    done = subprocess.run(f"{sys.executable} -m ftlab.cli data doctor -n 3000 {bad} | head -1; exit ${{PIPESTATUS[0]}}",
                          shell=True, executable="/bin/bash", capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == "" and "bad-json" in done.stdout


def test_surprises_are_named(cmd, monkeypatch):
    def broken(*args): raise KeyError("q_proj")
    monkeypatch.setattr("ftlab.shapes.load_shapes", broken)
    code, out, err = cmd("params", "tiny")
    assert code == 2 and err == "ftlab: KeyError: 'q_proj'\n"
    monkeypatch.setenv("FTLAB_TRACEBACK", "1")
    with pytest.raises(KeyError): main(["params", "tiny"])


# ---- what to do at all

def test_decide(cmd):
    asked = ["decide", "--knowledge-changes", "--examples", 500, "--calls", 100_000]
    code, out, err = cmd(*asked)
    assert code == 0 and err == "" and out.startswith("rag comes first; costs at 100,000 calls a month")
    assert "facts belong where they can be updated and cited (+5)" in out and "knowledge_changes=False: fine-tune" in out
    code, out, _ = cmd(*asked, "--json")
    told = json.loads(out)
    assert code == 0 and told["best"] == "rag" and [o["points"] for o in told["ranked"]] == [5, 1, 1, -15]
    assert told["facts"]["examples"] == 500 and told["facts"]["prompt_enough"] is None
    assert told["changes"] == {"knowledge_changes=False": "fine-tune", "behaviour=True": "fine-tune"}
    prompt = next(o for o in told["ranked"] if o["approach"] == "prompt")
    assert prompt["month"] == pytest.approx(450) and prompt["once"] == 0


def test_decide_takes_every_fact_and_other_prices(cmd):
    code, out, _ = cmd("decide", "--behaviour", "--prompt-failed", "--private", "--examples", 9, "--calls", 7, "--budget", 6,
                       "--monthly", 5.5, "--seconds", 4, "--gpu", "24GB", "large_in=5", "months=6", "--json")
    told = json.loads(out)
    assert code == 0 and told["facts"] == {
        "knowledge_changes": False, "behaviour": True, "base_lacks": False, "prompt_enough": False, "examples": 9,
        "private": True, "calls_per_month": 7, "budget": 6, "monthly": 5.5, "seconds": 4, "gpu_gb": 24}
    assert (told["costs"]["large_in"], told["costs"]["months"], told["costs"]["gpu_hour"]) == (5, 6, 2)
    ours = {o["approach"]: o for o in told["ranked"]}
    assert ours["prompt"]["month"] == pytest.approx(7*(1600*5 + 50*10)/1e6)
    assert any("a large model needs 140 GB, and your own GPUs have 24 GB" in r for r in ours["prompt"]["reasons"])
    code, out, _ = cmd("decide", "--base-lacks", "--budget", 10**6, "--json")
    assert code == 0 and json.loads(out)["best"] == "full"
    code, out, _ = cmd("decide", "--seconds", .1)
    assert code == 0 and "none answers within 0.1 s" in out


def test_decide_refuses(refuses):
    refuses("decide", "--prompt-enough", "--base-lacks", words="contradict each other")
    refuses("decide", "--prompt-enough", "--base-lacks", "--json", words="contradict each other")
    refuses("decide", "--prompt-failed", words="nothing says what is missing")
    refuses("decide", "--calls", 0, words="calls_per_month=0 should be a number, 1 or more")
    refuses("decide", "--monthly", 0, words="more than 0")
    refuses("decide", "--gpu", "24", words="'24' is no size")
    refuses("decide", "gpu_hours=3", words="did you mean 'gpu_hour'?")
    refuses("decide", "zzz=3", "--json", words="there are: calls_per_month, ")
    refuses("decide", "gpu_hour=much", words="gpu_hour='much' should be a finite number")
    refuses("decide", "gpu_hour", words="not of the form key=value")


def talk(words, lines):
    "The command on a terminal of its own, told these lines: (exit code, everything on the screen)"
    import pty
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-m", "ftlab.cli", *words], stdin=theirs, stdout=theirs, stderr=theirs,
                             cwd=ROOT, env=os.environ | {"COLUMNS": "200"})
    os.close(theirs)
    os.write(ours, "".join(line + "\n" for line in lines).encode())
    seen = b""
    try:
        while block := os.read(ours, 4096): seen += block
    except OSError: pass                                     # Linux says so when the child has gone
    os.close(ours)
    return child.wait(timeout=60), seen.decode()


def test_decide_asks_on_a_terminal():
    answers = ["maybe", "yes", "no", "no", "unknown", "no", "-3", "500", "100000", "", "", "", ""]
    code, seen = talk(["decide"], answers)
    assert code == 0, seen
    assert seen.count("Do answers need facts that change") == 2            # "maybe" is asked again
    assert "'maybe': answer yes or no" in seen and "examples=-3 should be a number, 0 or more" in seen
    assert seen.count("How many questions with right answers") == 2
    assert "rag comes first; costs at 100,000 calls a month" in seen and "Traceback" not in seen
    code, seen = talk(["decide"], ["no", "no", "yes", "yes", *[""]*7])     # enough, and lacking
    assert code == 2 and "contradict each other" in seen and "Traceback" not in seen


def test_decide_asks_nobody_who_gave_an_option_or_is_no_terminal():
    code, seen = talk(["decide", "--examples", "3"], [])
    assert code == 0 and "?" not in seen and "prompt comes first" in seen
    done = subprocess.run([sys.executable, "-m", "ftlab.cli", "decide"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "" and "prompt comes first" in done.stdout


# ---- what it takes

def test_params(cmd):
    code, out, err = cmd("params", "llama-2-7b", "-r", 8, "--target", "q_proj,v_proj", "--json")
    assert code == 0 and err == ""
    assert json.loads(out) == {"trainable": 4194304, "all": 6742609920, "percent": pytest.approx(.0622, abs=1e-4),
                               "bytes": {"float32": 16777216, "bfloat16": 8388608}}
    code, out, err = cmd("params", "llama-2-7b", "-r", 8, "--target", "q_proj,v_proj")
    assert code == 0 and {"4,194,304", "6,742,609,920", "0.0622", "16.8"} <= set(out.split())


def test_params_of_a_config(cmd, tmp_path):
    config = json.loads((ROOT/"ftlab/assets/models/tiny.json").read_text())["config"]
    (tmp_path/"config.json").write_text(json.dumps(config))
    ours, theirs = (json.loads(cmd("params", m, "--json")[1]) for m in (tmp_path, "tiny"))
    assert ours == theirs


def test_params_of_variants(cmd):
    def trains(*args): return json.loads(cmd("params", "llama-2-7b", "-r", 8, *args, "--json")[1])["trainable"]
    assert trains("--target", "q,v") == trains("--target", "v_proj,q_proj") == 4194304
    assert trains("--target", "q,v", "--dora") == 4194304 + 32*2*4096
    assert "llama-2-7b, r=8, q,v, DoRA" in cmd("params", "llama-2-7b", "-r", 8, "--target", "q,v", "--dora")[1]


def test_params_asks_the_hub_for_a_config_alone(cmd, refuses, monkeypatch, tmp_path):
    config = json.loads((ROOT/"ftlab/assets/models/mistral-7b.json").read_text())["config"]
    (tmp_path/"config.json").write_text(json.dumps(config))
    asked = []
    def download(name, file):
        asked.append((name, file))
        if name != "some-lab/Own-7B": raise OSError("gated")
        return str(tmp_path/file)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    ours, theirs = (json.loads(cmd("params", m, "--json")[1]) for m in ("some-lab/Own-7B", "mistral-7b"))
    assert ours == theirs and asked == [("some-lab/Own-7B", "config.json")]
    refuses("params", "some-lab/Mistral-7b-v9", words="did you mean 'mistral-7b'?")
    refuses("params", "some-lab/Mistral-7b-v9", "--json", words="could not be had: check name, network and access")
    cmd("params", tmp_path), cmd("params", "mistralai/Mistral-7B-v0.1")
    assert len(asked) == 3                               # neither a folder nor a shipped model asks
    (tmp_path/"config.json").write_text(json.dumps(config | {"model_type": "mixtral"}))
    refuses("params", "some-lab/Own-7B", words="some-lab/Own-7B has model_type 'mixtral'")


@pytest.mark.parametrize("change, words", [
    ({"hidden_size": None}, "hidden_size None, expected a whole number above 0"), ({"vocab_size": "320"}, "vocab_size '320'"),
    ({"num_hidden_layers": 0}, "num_hidden_layers 0"), ({"num_attention_heads": 1.5}, "num_attention_heads 1.5"),
    ({"num_key_value_heads": "2"}, "num_key_value_heads '2'"), ({"head_dim": -1}, "head_dim -1")])
def test_params_of_a_bad_config(refuses, tmp_path, change, words):
    config = json.loads((ROOT/"ftlab/assets/models/tiny.json").read_text())["config"]
    (tmp_path/"config.json").write_text(json.dumps(config | change))
    refuses("params", tmp_path, "-r", 4, words=words)
    (tmp_path/"config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "hidden_size"}))
    refuses("params", tmp_path, "--json", words="lacks hidden_size; give the whole config.json")


def test_params_refuses(refuses):
    refuses("params", "llama-2-7b", "-r", 5000, "--json", words="r=5000 cannot adapt a weight of shape 4096x4096")
    refuses("params", "llama-2-7b", "--target", "", words="matches an empty target")
    refuses("params", "lama-2-7b", words="did you mean 'llama-2-7b'?")
    refuses("params", "lama-2-7b", "--json", words="did you mean 'llama-2-7b'?")
    refuses("params", "llama-2-7b", "-r", 0, words="r=0 cannot adapt")
    refuses("params", "llama-2-7b", "--target", "zz", words="this model has: q_proj")


def test_memory(cmd):
    need = ["memory", "llama-2-7b", "--method", "qlora", "--batch", 4, "--length", 512]
    code, out, _ = cmd(*need, "--json")
    terms = json.loads(out)
    assert code == 0 and "fits" not in terms
    parts = [v for k, v in terms.items() if type(v) is int and not k.endswith("_bytes")]
    assert len(parts) == 9 and terms["moments"][terms["when"]] == terms["peak_bytes"]
    assert sum(parts) == terms["total_bytes"] >= terms["peak_bytes"] > max(parts)
    code, out, _ = cmd(*need, "--gpu", "80GB", "--json")
    assert code == 0 and json.loads(out)["fits"] and json.loads(out)["gpu_bytes"] == 80*10**9
    assert json.loads(out)["change"] is None
    code, out, _ = cmd(*need, "--gpu", "80GB")
    assert code == 0 and "It fits 80GB" in out and "quant_state" in out
    assert "in backward" in out and "the peak" in out
    shared = json.loads(cmd(*need, "--gpus", 8, "--json")[1])
    assert shared["weights"] < terms["weights"]/7 and shared["activations"] == terms["activations"]


def test_memory_says_what_to_change(cmd):
    need = ["memory", "llama-2-7b", "--method", "lora", "--batch", 4, "--length", 2048, "--gpu", "24GB"]
    code, out, _ = cmd(*need, "--json")
    told = json.loads(out)
    assert code == 1 and told["fits"] is False and told["change"]
    options = [word for step in told["change"] for word in step["options"].split()]
    code, out, err = cmd(*need[:-2], *options, "--gpu", "24GB")   # options given last count
    assert code == 0 and "It fits" in out
    code, out, err = cmd(*need[:-2], *options[:1], "--batch", 64, "--gpu", "24GB")
    assert code == 1 and "mildest first" in out and "  --batch 1 --accumulation 64 " in out and ", fits" in out
    assert json.loads(cmd(*need, "--method", "qlora", "--plain-scales", "--json")[1])["quant_state"] > 4e8
    code, out, err = cmd("memory", "llama-2-7b", "--gpu", "1GB")
    assert code == 1 and "take a larger GPU" in out and err == ""


@pytest.mark.slow
def test_memory_rehearsed(cmd):
    need = ["memory", "tiny", "--method", "lora", "-r", 4, "--dtype", "float32"]
    code, out, err = cmd(*need, "--fake", "--json")
    fake, formula = json.loads(out), json.loads(cmd(*need, "--json")[1])
    assert code == 0 and not err and fake["when"] in fake["moments"] and fake["reserved_bytes"] >= fake["peak_bytes"]
    assert list(fake["moments"]) == list(formula["moments"]) and abs(formula["peak_bytes"]/fake["peak_bytes"] - 1) < .02
    code, out, _ = cmd(*need, "--fake", "--gpu", "1MB")
    assert code == 1 and "the peak" in out and "by the allocator" in out and "does not fit 1MB" in out


def test_memory_refuses(refuses):
    refuses("memory", "llama-2-7b", "--gpu", "24", words="'24' is no size")
    refuses("memory", "llama-2-7b", "--method", "lara", "--json", words="use one of full, lora, qlora")
    refuses("memory", "llama-2-7b", "--batch", 0, words="at least 1")
    refuses("memory", "phi-1.5", words="Llama-shaped")
    refuses("memory", "llama-2-7b", "--gpu", "A100", "--json", words="did you mean A100-40GB or A100-80GB?")
    refuses("memory", "llama-2-7b", "--accumulation", -1, words="accumulation=-1: a whole number, at least 1")
    refuses("memory", "llama-2-7b", "--gpus", 2, "--fake", words="one GPU can be rehearsed")
    refuses("memory", "llama-2-7b", "-r", 0, words="r=0: a whole number, at least 1")
    refuses("memory", "phi-1.5", "--fake", "--target", "q_prj", words="no linear layer matches q_prj")
    refuses("memory", "phi-1.5", "--fake", "-r", 10**6, words="cannot adapt a weight")


# ---- data

@pytest.fixture
def bad(tmp_path):
    path = tmp_path/"bad.jsonl"
    path.write_text('{"prompt":"a","completion":"b"}\n{"prompt":"a","completion":"b"}\n{"prompt":"a"}\nnonsense\n'
                    '{"prompt":"[red]a[/red]","completion":"<|im_end|>"}\n')
    return path


def test_doctor(cmd, data, bad):
    code, out, err = cmd("data", "doctor", data)
    assert code == 1 and "warning too-few-examples, 1 of them" in out and out.endswith(": 8 lines, 8 records, 0 rejected\n")
    (more := data.with_name("more.jsonl")).write_text(
        "".join(json.dumps({"prompt": f"at {h} o'clock", "completion": f"0 {h} * * *"}) + "\n" for h in range(12)))
    code, out, err = cmd("data", "doctor", more)
    assert (code, out, err) == (0, f"{more}: 12 lines, 12 records, 0 rejected; nothing found\n", "")
    code, out, err = cmd("data", "doctor", bad)
    assert code == 1 and err == ""
    assert f"  {bad}:3: completion is missing\n" in out and "error missing-field, 1 of them: fill the field in" in out
    assert out.endswith(f"{bad}: 5 lines, 2 records, 3 rejected\n")
    code, out, err = cmd("data", "doctor", bad, "--json")
    told = json.loads(out)
    assert code == 1 and (told["total"], told["records"], told["rejected"]) == (5, 2, 3)
    assert {f["code"]: f["line"] for f in told["findings"]} == {
        "too-few-examples": 1, "exact-duplicate": 2, "missing-field": 3, "bad-json": 4, "special-token-in-text": 5}
    assert all(f["what"] and f["do"] and f["file"] == str(bad) for f in told["findings"])


def test_doctor_of_many(cmd, tmp_path):
    (path := tmp_path/"many.jsonl").write_text('{"prompt":"a"}\n'*50)
    code, out, _ = cmd("data", "doctor", path, "-n", 2)
    assert code == 1 and out.count("completion is missing") == 2 and "48 more" in out
    assert len(json.loads(cmd("data", "doctor", path, "--json")[1])["findings"]) == 50


def test_doctor_refuses(cmd, refuses, tmp_path):
    refuses("data", "doctor", tmp_path/"no.jsonl", words="there is no file")
    refuses("data", "doctor", tmp_path/"no.jsonl", "--json", words="there is no file")
    refuses("data", "doctor", tmp_path, words="is a directory")
    (tmp_path/"empty").write_text("")
    refuses("data", "doctor", tmp_path/"empty", words="is empty")
    (tmp_path/"prose").write_text("not one line\nis JSON\n")
    assert cmd("data", "doctor", tmp_path/"prose")[0] == 2


def test_convert(cmd, refuses, data, bad, tmp_path):
    code, out, _ = cmd("data", "convert", data, "--to", "sharegpt", "-o", tmp_path/"a.jsonl")
    assert (code, out) == (0, f"{tmp_path/'a.jsonl'} (8 records)\n")
    first = json.loads((tmp_path/"a.jsonl").read_text().splitlines()[0])
    assert first["conversations"][1] == {"from": "gpt", "value": "0 0 * * *"}
    assert cmd("data", "convert", tmp_path/"a.jsonl", "--to", "prompt-completion", "-o", tmp_path/"b.csv")[0] == 0
    assert (tmp_path/"b.csv").read_text().splitlines()[:2] == ["prompt,completion", "at 0 o'clock,0 0 * * *"]
    refuses("data", "convert", data, "--to", "sharegpt", "-o", tmp_path/"a.jsonl", words="is already there")
    refuses("data", "convert", data, "--to", "prose", "-o", tmp_path/"c.jsonl", words="no dialect 'prose'")
    refuses("data", "convert", data, "--to", "alpaca", "-o", tmp_path/"c.xls", words="should end in one of")
    refuses("data", "convert", bad, "--to", "alpaca", "-o", tmp_path/"c.jsonl", words="2 of 5 lines can't be converted")
    assert not [*tmp_path.glob("c.*")]


def test_show(cmd, data):
    code, out, err = cmd("data", "show", data, "-n", 2, "--weights", "random")
    assert code == 0 and "⟦0 0 * * *<|im_end|>⟧" in out and "⟦0 1 * * *" in out and "⟦0 2" not in out
    assert f"{data}:1: " in out and "at 0 o'clock" in out
    code, out, err = cmd("data", "show", data, "-n", 1, "--weights", "random", "--system", "Be brief.", "--json")
    row, = json.loads(out)
    assert row["line"] == 1 and row["tokens"] == len(row["input_ids"]) == len(row["labels"])
    assert row["taught"] == len("0 0 * * *") + 1 == sum(x != -100 for x in row["labels"])
    text = "system\nBe brief.user\nat 0 o'clockassistant\n0 0 * * *" + "\n"*3
    assert row["tokens"] == len(text) + 2*3   # a byte is a token here, and so are a turn's two markers


def test_show_in_colour(data):
    from ftlab.core import load_model
    from ftlab.tokens import encode
    tokenizer = load_model("tiny", "random")[1]
    talk = {"messages": [{"role": "user", "content": "[b]"}, {"role": "assistant", "content": "x"}]}
    text = cli._coloured(encode(talk, tokenizer), tokenizer, plain=False)
    style = {text.plain[s.start:s.end]: str(s.style) for s in text.spans}
    assert style["x"] == "black on green" and style["<|im_end|>"] == "black on green bold underline"
    assert style["["] == "dim" and style["<|im_start|>"] == "dim bold underline" and "[b]" in text.plain
    assert "⟦" not in text.plain


def test_show_says_the_shares_and_the_cuts(cmd, data, tmp_path):
    code, out, err = cmd("data", "show", data, "-n", 2, "--weights", "random")
    tokens, taught = (int(n) for n in re.search(r":1: (\d+) tokens, (\d+) taught", out).groups())
    assert f"({taught/tokens:.0%})" in out and re.search(rf"together: {2*tokens} tokens, {2*taught} taught", out)
    code, out, err = cmd("data", "show", data, "-n", 1, "--weights", "random", "--max-length", tokens - 3)
    assert code == 0 and f":1: {tokens - 3} tokens, {taught - 2} taught" in out and "3 more cut off" in out
    talk = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(["a", "🫠", "b", "été"])]
    (tmp_path/"talk.jsonl").write_text(json.dumps({"messages": talk}) + "\n" + json.dumps({"messages": talk[:2]}) + "\n")
    out = cmd("data", "show", tmp_path/"talk.jsonl", "--weights", "random")[1]
    assert "⟦🫠<|im_end|>⟧" in out and "⟦été<|im_end|>⟧" in out and "\ufffd" not in out
    out = cmd("data", "show", tmp_path/"talk.jsonl", "--weights", "random", "--last")[1]
    assert out.count("⟦🫠") == 1 and "⟦été<|im_end|>⟧" in out
    code, out, err = cmd("data", "show", tmp_path/"talk.jsonl", "--weights", "random", "--max-length", 40, "--json")
    rows = json.loads(out)
    assert code == 0 and rows[0]["tokens"] == 40 == len(rows[0]["labels"]) and rows[0]["cut"] > 0 == rows[1]["cut"]


def test_show_names_what_can_not_be_taught_and_goes_on(cmd, data):
    code, out, err = cmd("data", "show", data, "-n", 2, "--weights", "random", "--max-length", 10)
    assert code == 1 and out.count("nothing-supervised: the first 10 of") == 2
    rows = json.loads(cmd("data", "show", data, "-n", 2, "--weights", "random", "--max-length", 10, "--json")[1])
    assert [(r["line"], r["code"]) for r in rows] == [(1, "nothing-supervised"), (2, "nothing-supervised")]


def test_show_refuses(refuses, data, tmp_path):
    refuses("data", "show", tmp_path/"no.jsonl", words="there is no file")
    refuses("data", "show", data, "-n", 0, words="at least 1")
    refuses("data", "show", data, "--weights", "big", words="use 'real' or 'random'")
    refuses("data", "show", data, "--model", "smollm2-135m", "--json", words="did you mean 'smollm2-135m-instruct'?")
    (tmp_path/"bad.jsonl").write_text('{"prompt": 1}\n')
    refuses("data", "show", tmp_path/"bad.jsonl", words="ftlab data doctor")


# ---- train

def test_train_wrote_a_run(trained, data):
    from ftlab.train import read_recipe
    assert (trained/"adapter/adapter_model.safetensors").is_file()
    recipe = read_recipe(trained/"recipe.yaml")
    assert recipe.model == "tiny" and recipe.max_steps == 3 and recipe.data == str(data)


@pytest.mark.slow
def test_train_prints_the_run_and_only_that(cmd, data, tmp_path):
    what = ["train", "cron-smollm2-cpu", *TINY, f"data={data}", "max_steps=1", "r=4", "learning_rate=1e-3",
            "system=yes", "--run", tmp_path/"r"]
    code, out, err = cmd(*what)
    assert code == 0 and out == f"{tmp_path/'r'}\n" and "step 1/1  loss" in err
    from ftlab.train import read_recipe
    recipe = read_recipe(tmp_path/"r/recipe.yaml")
    assert (recipe.r, recipe.learning_rate, recipe.system) == (4, 1e-3, "yes")
    assert cmd(*what)[0] == 2
    code, out, err = cmd(*what, "--overwrite", "--json")
    told = json.loads(out)
    assert code == 0 and told["run"] == str(tmp_path/"r") and told["steps"] == 1 and told["loss"] > 0


def test_train_dry_run(cmd, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    what = ["train", "cron-smollm2-cpu", *TINY, f"data={data}", "--dry-run"]
    code, out, err = cmd(*what, "--price", .5)
    assert code == 0 and "run: runs/cron-smollm2-cpu\n" in out and "data: 8 conversations" in out
    assert "model: tiny\n" in out and re.search(r"memory: [\d.]+ MB at the peak", out)
    assert "doctor: 1 warning (too-few-examples 1)\n" in out
    assert "steps: 4, each of 2 conversations" in out and re.search(r"time: [\d.]+ s, .* measured on 3 steps here", out)
    assert "at $0.5 an hour" in out and err == ""
    told = json.loads(cmd(*what, "--json")[1])
    assert told["data"]["conversations"] == 8 and 0 < told["data"]["supervised"] < 1 and told["steps"]["steps"] == 4
    assert told["memory"]["peak_bytes"] > 0 and told["recipe"]["model"] == "tiny" and told["time"]["seconds"] > 0
    assert told["fits"] and told["cost"] is None and list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_train_dry_run_of_what_is_not_here(cmd, monkeypatch):
    monkeypatch.setattr("ftlab.dryrun._free", lambda: 10**11)
    code, out, err = cmd("train", "llama2-7b-alpaca-qlora", "--dry-run")   # neither is downloaded
    assert code == 0 and "data: not counted" in out and re.search(r"memory: [\d.]+ GB at the peak", out)
    code, out, err = cmd("train", "llama2-7b-alpaca-qlora", "model=owner/unheard-of", "--dry-run")
    assert code == 0 and "memory: no shapes are known for owner/unheard-of" in out
    out = cmd("train", "llama2-7b-alpaca-qlora", "model=google/gemma-2-2b", "--dry-run")[1]      # rehearsed
    assert re.search(r"memory: [\d.]+ GB at the peak", out)


def test_train_dry_run_for_another_machine(cmd):
    what = ["train", "llama2-7b-alpaca-qlora", "--dry-run", "--price", 1.5]
    code, out, err = cmd(*what, "--gpu", "24GB")
    assert code == 0 and "it fits into nine tenths of a GPU that is not here: 24GB\n" in out
    assert "time: not measured, because the run is for another machine" in out and "cost: not known" in out
    code, out, err = cmd(*what, "max_length=2048", "--gpu", "12GB")
    assert code == 1 and "it does not fit" in out and "  gradient_checkpointing=true: saves " in out
    words = [w for c in json.loads(cmd(*what, "max_length=2048", "--gpu", "12GB", "--json")[1])["change"]
             for w in c["words"].split()]
    assert cmd(*what, "max_length=2048", "--gpu", "12GB", *words)[0] == 0


def test_train_says_first_what_it_needs_and_refuses_what_will_not_fit(cmd, refuses, data, tmp_path, monkeypatch):
    what = ["train", "cron-smollm2-cpu", *TINY, f"data={data}", "max_steps=1", "--run", tmp_path/"r"]
    monkeypatch.setattr("ftlab.dryrun._free", lambda: 10**6)
    code, out, err = cmd(*what)
    assert code == 2 and "data: 8 conversations" in err and "does not fit into nine tenths of the 1.0 MB" in err
    assert "\nftlab: it will not fit" in err and "--force" in err and not (tmp_path/"r").exists()
    code, out, err = cmd(*what, "--dry-run")
    assert code == 1 and "time: not measured, because it does not fit" in out
    code, out, err = cmd(*what, "--force")
    assert code == 0 and out == f"{tmp_path/'r'}\n" and "memory: " in err and "time:" not in err


def test_a_run_is_stopped_and_goes_on(cmd, data, tmp_path, monkeypatch):
    from ftlab import train as room
    what = ["train", "cron-smollm2-cpu", *TINY, f"data={data}", "--run", tmp_path/"r"]
    real = room.finetune
    def stopped(plan, where, overwrite, report, rows):
        def say(line):
            report(line)
            if line["step"] == 2: signal.raise_signal(signal.SIGTERM)
        return real(plan, where, overwrite, say, rows)
    monkeypatch.setattr("ftlab.train.finetune", stopped)
    code, out, err = cmd(*what)
    assert code == 130 and out == "" and err.count("step 2/4  loss") == 1
    step = int(re.search(r"\nftlab: stopped after step (\d) of 4; the same command goes on from .*-\1\n$", err)[1])
    code, out, err = cmd(*what, "--json")
    told = json.loads(out)
    assert code == 0 and f"goes on after step {step} of 4\nstep {step + 1}/4  loss" in err and told["step"] == 4


def test_the_line_that_follows_a_run(monkeypatch):
    clock = iter((0, 2, 4))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    line = {"step": 7, "steps": 90, "loss": 1.2345, "tokens": 1000, "taught": 250, "peak_gb": 2.14, "seconds_left": 500.4}
    follow = cli._Progress()
    assert follow.line(line) == "step 7/90  loss 1.234  25% supervised  2.1 GB  8.3 min left"
    assert follow.line(line) == "step 7/90  loss 1.234  500 tokens/s  25% supervised  2.1 GB  8.3 min left"
    assert follow.line(line | {"tokens": 3000, "taught": 0}).split("  ")[2:4] == ["1,000 tokens/s", "0% supervised"]


@pytest.mark.slow
def test_a_bar_on_a_terminal_and_a_line_for_each_look(data, tmp_path):
    code, seen = talk(["train", "cron-smollm2-cpu", *TINY, f"data={data}", f"eval_data={data}", "eval_steps=2",
                       "--run", str(tmp_path/"r")], [])
    assert code == 0 and "━" in seen and "step 4/4  loss " in seen and " supervised  " in seen and "s left" in seen
    assert "step 2/4  eval_loss " in seen and "Traceback" not in seen


def test_train_refuses(refuses, trained, data, tmp_path):
    refuses("train", "cron", words="shipped: 70b-fsdp-qlora, cron-smollm2-cpu, ")
    refuses("train", "cron-smollm2-cpu", "lernrate=1", words="did you mean 'learning_rate'?")
    refuses("train", "cron-smollm2-cpu", "r=x", "--json", words="r: 'x' is str, expected int")
    refuses("train", "cron-smollm2-cpu", "r=0", words="must be above 0")
    refuses("train", "cron-smollm2-cpu", "r", words="'r' is not of the form key=value")
    refuses("train", "cron-smollm2-cpu", "--run", trained, words="--overwrite")
    refuses("train", "cron-smollm2-cpu", "--gpu", "24GB", words="go with --dry-run")
    refuses("train", "cron-smollm2-cpu", "--price", 0, "--json", words="go with --dry-run")
    refuses("train", "cron-smollm2-cpu", *TINY, f"data={data}", "report_to=swanlab", "--run", tmp_path/"r",
            words="pip install swanlab")
    refuses("train", "cron-smollm2-cpu", *TINY, f"data={tmp_path/'no.jsonl'}", "--run", tmp_path/"r",
            words="there is no file")
    refuses("train", "cron-smollm2-cpu", *TINY, f"data={data}", "target_modules=zz", "--run", tmp_path/"r", words="zz")
    (tmp_path/"r.yaml").write_text("r: [")
    refuses("train", tmp_path/"r.yaml", words="is not YAML")
    assert not (tmp_path/"r").exists()


def test_reproduce(cmd, refuses, trained, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = cmd("reproduce", trained)
    assert code == 0 and re.fullmatch(r"bit-equal: \d+ tensors and 3 lines of metrics\n", out) and "step 3/3" in err
    run = shutil.copytree(trained, tmp_path/"run")
    (run/"recipe.yaml").write_text((run/"recipe.yaml").read_text().replace("seed: 42", "seed: 7"))
    code, out, err = cmd("reproduce", run, "--json", "--keep", tmp_path/"again")
    told = json.loads(out)
    assert code == 1 and not told["equal"] and told["first"]["step"] == 1 and told["weights"]["largest"] > 0
    assert err.startswith("since then: recipe was") and (tmp_path/"again/adapter/README.md").is_file()
    refuses("reproduce", run, "--keep", tmp_path/"again", words="already there")
    refuses("reproduce", tmp_path, words="is no finished run")
    was = data.read_text()
    data.write_text(was.replace("at 0", "at 00"))
    try: refuses("reproduce", trained, words="changed since")
    finally: data.write_text(was)


# ---- evaluate, deploy

def test_eval_of_a_run(cmd, trained, data):
    code, out, err = cmd("eval", trained, "--data", data, "--metric", "cron", "--limit", 5, "--max-new-tokens", 4, "--json")
    told = json.loads(out)
    assert code == 0 and told["n"] == 5 and 0 <= told["low"] <= told["score"] <= told["high"] <= 1
    assert told["samples"] == str(trained/"eval-some-cron.json")
    kept = json.loads(Path(told["samples"]).read_text())
    assert len(kept["samples"]) == 5 and kept["samples"][3]["reference"] == "0 3 * * *"
    assert kept["model"] == str(trained) and kept["metric"] == "cron"
    assert f"| {data.name} | cron | {told['score']:.4g} |" in (trained/"adapter/README.md").read_text()


def test_eval_of_a_model(cmd, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    what = ["eval", "tiny", "--weights", "random", "--data", data, "--metric", "accuracy", "--max-new-tokens", 2]
    code, out, err = cmd(*what, "--limit", 2)
    assert code == 0 and "95% interval 0 to 0.6576" in out   # Wilson's for 0 of 2
    assert (tmp_path/"runs/eval-tiny-some-accuracy.json").is_file()
    assert cmd(*what, "--limit", 2, "--out", tmp_path/"mine.json")[0] == 0 and (tmp_path/"mine.json").is_file()


def test_eval_refuses(refuses, data, tmp_path):
    what = ["eval", "tiny", "--weights", "random", "--data", data]
    refuses(*what, "--metric", "corn", "--json", words="accuracy, bleu, cron, f1, rouge")
    refuses("eval", "tiny", "--data", tmp_path/"no", "--metric", "cron", words="there is no file")
    refuses("eval", "smollm2-135m", "--data", data, "--metric", "cron", words="did you mean 'smollm2-135m-instruct'?")
    refuses("eval", tmp_path, "--data", data, "--metric", "cron", words="no config.json")
    refuses("eval", tmp_path/"corse", "--data", data, "--metric", "cron", words="holds: nothing")
    refuses(*what, words="--metric")


def test_merge(cmd, refuses, trained, tmp_path):
    code, out, err = cmd("merge", trained, "-o", tmp_path/"m")
    assert code == 0 and out.startswith(f"{tmp_path/'m'} (") and (tmp_path/"m/model.safetensors").is_file()
    refuses("merge", trained, "-o", tmp_path/"m", words="already there")
    refuses("merge", tmp_path, "-o", tmp_path/"n", words="ftlab train")
    refuses("merge", trained, "-o", tmp_path/"n", "--dtype", "int3", words="float32 or bfloat16")


def test_export(cmd, refuses, trained, tmp_path, monkeypatch):
    def export_gguf(folder, out, outtype):   # llama.cpp's converter is tried in lesson 11
        assert (Path(folder)/"model.safetensors").is_file() and outtype == "q8_0"
        Path(out).write_bytes(b"GGUF"*1000)
        return Path(out)
    monkeypatch.setattr("ftlab.deploy.export_gguf", export_gguf)
    code, out, err = cmd("export", trained, "--to", "gguf", "-o", tmp_path/"a.gguf", "--outtype", "q8_0")
    assert (code, out) == (0, f"{tmp_path/'a.gguf'} (4.0 kB)\n")   # from a run: merged on the way
    assert cmd("merge", trained, "-o", tmp_path/"m")[0] == 0
    code, out, err = cmd("export", tmp_path/"m", "-o", tmp_path/"b.gguf", "--outtype", "q8_0")
    assert (code, out) == (0, f"{tmp_path/'b.gguf'} (4.0 kB)\n")   # from a merged folder
    refuses("export", trained, "-o", tmp_path/"a.gguf", words="already there")
    refuses("export", trained, "--to", "gptq", "-o", tmp_path/"c", words="use gguf")
    refuses("export", tmp_path/"no", "-o", tmp_path/"c", words="no adapter_config.json")


def test_serve(cmd, trained, monkeypatch):
    asked = {}
    def wait(server):   # instead of waiting: one client's request, and Ctrl-C
        with urllib.request.urlopen(f"{server.url}/v1/models", timeout=20) as r: asked["models"] = json.load(r)
        body = {"model": "cron", "max_tokens": 2, "messages": [{"role": "user", "content": "at noon"}]}
        request = urllib.request.Request(f"{server.url}/v1/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as r: asked["answer"] = json.load(r)
        signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr("ftlab.serve.Server.wait", wait)
    code, out, err = cmd("serve", "tiny", "--weights", "random", "--adapter", f"cron={trained}", "--port", 0)
    assert code == 0 and re.search(r"http://127\.0\.0\.1:\d+/v1 serves tiny, cron; Ctrl-C stops it", out)
    assert [m["id"] for m in asked["models"]["data"]] == ["tiny", "cron"]
    assert asked["answer"]["model"] == "cron" and asked["answer"]["usage"]["completion_tokens"] in (1, 2)


def test_serve_refuses(refuses, trained, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refuses("serve", "tiny", "--weights", "random", "--port", port, words=f"port {port}")
    what = ["serve", "tiny", "--weights", "random", "--port", 0, "--adapter"]
    refuses(*what, "cron", words="NAME=RUN")
    refuses(*what, f"a={trained}", "--adapter", f"a={trained}", words="two adapters can't share a name")
    refuses(*what, f"a={tmp_path}", words="no adapter_config.json")
    refuses("serve", "tiny", "--weights", "random", "--port", 70000, words="--port")


@pytest.mark.parametrize("args,module,extra", [(["serve", "tiny"], "starlette", "serve"), (["serve", "tiny"], "uvicorn", "serve"),
                                               (["run"], "papermill", "course")])
def test_missing_extras(refuses, monkeypatch, args, module, extra):
    find = cli.find_spec
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == module else find(name))
    refuses(*args, words=f"{module} is not installed; run `pip install 'ftlab[{extra}]'`")


# ---- the course

@pytest.fixture
def clone(tmp_path, monkeypatch):
    "A clone with two small notebooks"
    cell = lambda source, *tags: {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source,
                                  "outputs": [], "execution_count": None, "id": f"c{len(source)}"}
    book = lambda *cells: {"cells": list(cells), "nbformat": 4, "nbformat_minor": 5, "metadata": {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}}
    (tmp_path/"nbs").mkdir()
    (tmp_path/"nbs/01_one.ipynb").write_text(json.dumps(book(cell("n = 1", "parameters"), cell("assert n < 3, n"))))
    (tmp_path/"nbs/02_two.ipynb").write_text(json.dumps(book(cell("n = 1", "parameters"))))
    (tmp_path/"nbs/profiles.yaml").write_text(
        "cpu: {common: {}, 01_one: {}, 02_two: {}}\n"
        "settings: {own: {}, random: {}, env: {}, cap: {}, minutes: {}}\n")
    monkeypatch.chdir(tmp_path/"nbs")
    return tmp_path


@pytest.mark.slow
def test_run(cmd, clone):
    code, out, err = cmd("run", "01_one", "n=3")
    assert code == 1 and "01_one stopped at cell 2 of 2" in out and "AssertionError: 3" in out
    assert (clone/"build/course/01_one.ipynb").is_file()


def test_run_hands_over_what_was_asked(cmd, clone, monkeypatch):
    monkeypatch.setattr("ftlab.course.run_course", lambda *asked, jobs: given.append((*asked, jobs)) or 130)
    given = []
    assert cmd("run", "02_two", "01_one", "n=2", "--from", "01_one") == (130, "", "")
    assert cmd("run", "--jobs", "3") == (130, "", "")
    assert given == [(["02_two", "01_one"], "cpu", "01_one", {"n": "2"}, 0), ([], "cpu", None, {}, 3)]


def test_run_refuses(refuses, clone, monkeypatch):
    refuses("run", "--profile", "laptop", words="there is no profile 'laptop'")
    refuses("run", "01_uno", words="there is no notebook '01_uno'")
    refuses("run", "--from", "03", words="there is no notebook '03'")
    refuses("run", "m=3", words="there is no parameter 'm'")
    refuses("run", "n=x", words="n='x' is no int")
    monkeypatch.chdir("/")
    refuses("run", words="not inside a clone")
