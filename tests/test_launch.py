"The command in several processes, shards, and the files for many machines."
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from forked import Host
from test_processes import ENV, SMALL, say, slow, talks, until

ASSETS = files("ftlab").joinpath("assets/scale")


# ---- the command

@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory):
    box = tmp_path_factory.mktemp("recipe")
    (box / "mine.yaml").write_text(yaml.safe_dump(SMALL | {"data": talks(box / "train.jsonl", 60, 1)}))
    return box / "mine.yaml"


def ftlab(*args): return say([sys.executable, "-m", "ftlab.cli", *args])


def torchrun(nproc, *args, **env):
    return say([sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", nproc, "-m", "ftlab.cli", "--", *args], **env)


def digest(run):
    from ftlab.core import sha256
    return sha256(Path(run) / "adapter/adapter_model.safetensors")


@slow
def test_command(recipe_file, tmp_path):
    "`--nproc 2`, and torchrun, write the same bytes; one path is printed; the world is as it was asked for"
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    done = ftlab("train", recipe_file, "--run", ours, "--nproc", 2)
    assert (done.returncode, done.stdout) == (0, f"{ours}\n"), done.stderr
    assert done.stderr.count("step 6/6") == 1
    done = torchrun(2, "train", recipe_file, "--run", theirs, "--nproc", 2)
    assert (done.returncode, done.stdout) == (0, f"{theirs}\n"), done.stderr
    assert digest(ours) == digest(theirs)
    done = torchrun(2, "train", recipe_file, "--run", tmp_path / "no", "--nproc", 3)
    assert done.returncode and "3 processes were asked for and there are 2" in done.stderr
    done = ftlab("train", recipe_file, "--run", ours, "--nproc", 2)
    assert done.returncode == 2 and "exists" in done.stderr
    done = ftlab("train", recipe_file, "per_device_train_batch_size=15", "--run", tmp_path / "no", "--nproc", 2)
    assert done.returncode == 2 and "can't be shared by 2 processes" in done.stderr
    assert not (tmp_path / "no").exists() and not (tmp_path / "no.part").exists()


LONG = ["num_train_epochs=30", "save_steps=1000", "--nproc", 2, "--run"]


@pytest.fixture(scope="module")
def whole(recipe_file):
    assert ftlab("train", recipe_file, *LONG, recipe_file.parent / "whole").returncode == 0
    return recipe_file.parent / "whole"


@slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_stopped_and_gone_on_with(number, recipe_file, whole, tmp_path):
    "The watcher passes the signal on, there is a last checkpoint, and the same command ends as if nothing had been"
    run, args = tmp_path / "run", ["train", recipe_file, *LONG]
    p = subprocess.Popen([sys.executable, "-m", "ftlab.cli", *map(str, args), run], env=ENV, start_new_session=True)
    try:
        until(lambda: (tmp_path / "run.part/metrics.jsonl").exists())
        os.killpg(p.pid, number)
        assert p.wait(120) == 130
    finally: p.kill()
    kept = [c.name for c in (tmp_path / "run.part/checkpoints").iterdir()]
    assert len(kept) == 1 and kept[0] != "checkpoint-90" and not run.exists()
    assert ftlab(*args, run).returncode == 0
    assert digest(run) == digest(whole)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 91))


@slow
def test_accelerate_that_does_less_is_refused(recipe_file, tmp_path):
    done = torchrun(2, "train", recipe_file, "--run", tmp_path / "no", ACCELERATE_USE_FSDP="true", FSDP_VERSION="2")
    assert done.returncode and "FSDP was asked for" in done.stderr


# ---- shards

SHARDS = """
import os, sys, torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from ftlab.core import seed_everything
from ftlab.engine import adapt, base_model, collator, optimizer
from ftlab.pack import packed_loss
from ftlab.ranks import gathered, spare, together, total
from ftlab.recipe import prepare, read_recipe
def trained(name, rank, size):
    recipe = read_recipe(name)
    os.environ.update({"ACCELERATE_USE_FSDP": "true"} if recipe.method == "qlora" else {})    # 4 bits in what can be sharded
    seed_everything(recipe.seed)      # nobody sends the others its A: each has to begin with the same
    base, tokenizer = base_model(recipe)
    rows, model = prepare(recipe, tokenizer), adapt(base, recipe)
    inner = model if recipe.method == "full" else model.get_base_model()
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if recipe.method != "full": model.enable_input_require_grads()
    model.train()
    if size > 1:
        mesh = init_device_mesh("cpu", (size,))
        for layer in inner.model.layers: fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    rows, collate = spare(rows, collator(recipe))
    opt, out = optimizer(model, recipe), []
    each = 8//size
    for at in range(0, 44, 8):
        here = [*range(at, min(at + 8, 44)), *[44]*8][:8]
        for half in (0, 1):                                     # two micro-batches a step
            mine = here[half*4 + rank*4//size:half*4 + (rank + 1)*4//size]
            batch = {k: v for k,v in collate([rows[i] for i in mine]).items() if k not in ("origins", "shift_labels")}
            if half == 0:
                taught = sum(total(*[sum(l != -100 for l in rows[i]["labels"][1:]) for i in here if i < 44]))/size
                step = 0.
            loss = packed_loss(model, batch)/taught
            (loss*size).backward(); step += loss.item()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        opt.step(); opt.zero_grad()
        out.append((sum(gathered(step)), norm.item()))
    held = sum(getattr(p, "_local_tensor", p).numel() for p in model.parameters())
    whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    trains = {k: v for k,v in whole.items() if recipe.method == "full" or "lora" in k}
    if rank == 0: torch.save((out, held, trains), f"{name}.{size}")
    os.environ.pop("ACCELERATE_USE_FSDP", None)
with together() as (rank,size):
    for name in sys.argv[1:]: trained(name, rank, size)
"""


SHARDED = {"lora": {}, "full": {"method": "full"}, "qlora": {"method": "qlora", "weights": "real"},
           "unshared": {"share_prefix": False}, "recomputed": {"gradient_checkpointing": True}}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    "Each way, in one process and in two"
    from ftlab.core import load_model
    box = tmp_path_factory.mktemp("shards")
    for it in load_model("tiny", "random"): it.save_pretrained(box / "saved")         # 4 bits need a model on the disk
    for name, changes in SHARDED.items():
        if name == "qlora": changes = changes | {"model": str(box / "saved")}
        (box / name).write_text(yaml.safe_dump(SMALL | {"data": talks(box / "d.jsonl", 60, 1)} | changes))
    (box / "shards.py").write_text(SHARDS)
    with closing(Host()) as host:
        for n in (1, 2): assert host.launch([str(box / "shards.py"), *(str(box / name) for name in SHARDED)], n) == 0
    return box


@slow
@pytest.mark.parametrize("name", SHARDED)
def test_shards_equal_one_process(name, shards):
    "fully_shard per layer on gloo: loss, gradient norm and weights, over accumulated steps of which the last is not full"
    import torch
    (one, whole, A), (two, part, B) = (torch.load(shards / f"{name}.{n}") for n in (1, 2))
    assert len(one) == 6 and .5*whole <= part < .52*whole
    for (a, x), (b, y) in zip(one, two, strict=True): assert b == pytest.approx(a, rel=1e-5) and y == pytest.approx(x, rel=1e-4)
    assert A.keys() == B.keys() and A
    for k in A: assert (A[k] - B[k]).norm() <= 1e-5*A[k].norm(), k


# ---- launch files

def test_fsdp2_file_read_by_accelerate(monkeypatch):
    "Its own loader, its launcher's environment, and the plugin that a rank makes of that"
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils import FullyShardedDataParallelPlugin
    from accelerate.utils.launch import prepare_multi_gpu_env
    path = str(ASSETS / "fsdp2.yaml")
    config = load_config_from_file(path)
    assert config.distributed_type == "FSDP" and config.num_processes == 8
    args = launch_command_parser().parse_args(["--config_file", path, "-m", "ftlab.cli", "train", "x"])
    args, _, _ = _validate_launch_command(args)
    assert args.use_fsdp and args.training_script == "ftlab.cli" and args.training_script_args == ["train", "x"]
    env = prepare_multi_gpu_env(args)
    for k, v in env.items():
        if k.startswith(("FSDP_", "ACCELERATE_")): monkeypatch.setenv(k, v)
    assert os.environ["ACCELERATE_USE_FSDP"] == "true"
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True and plugin.cpu_ram_efficient_loading
    assert "FULL_STATE_DICT" in str(plugin.state_dict_type) and plugin.auto_wrap_policy.__name__ == "transformer_auto_wrap_policy"


COMMANDS = {   # what a node has: each says what it was called with
    "srun": "#!/bin/bash\nshift\nfor node in 0 1; do SLURM_NODEID=$node \"$@\" || exit 1; done\n",
    "scontrol": "#!/bin/bash\nprintf 'n7\\nn8\\n'\n",
    "torchrun": "#!/bin/bash\necho torchrun \"$@\" >> \"$CALLS\"\n[ $(wc -l < \"$CALLS\") -gt 1 ]\n",
    "accelerate": "#!/bin/bash\necho accelerate \"$@\" >> \"$CALLS\"\n",
}


@pytest.fixture
def node(tmp_path):
    (tmp_path / "bin").mkdir()
    for name, text in COMMANDS.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin/activate").write_text("")
    return os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}


def slurm(tmp_path, node, fsdp=""):
    text = (ASSETS / "train_on_slurm.sh").read_text(encoding="utf-8")
    for name, value in {"VENV": tmp_path, "FSDP": fsdp, "RECIPE": "my recipe.yaml"}.items():
        text, n = re.subn(f"^{name}=.*$", f'{name}="{value}"', text, flags=re.M)
        assert n == 1
    text = text.replace('source "$VENV/bin/activate"', f"source {tmp_path}/bin/activate")
    done = subprocess.run(["bash"], input=text, text=True, capture_output=True, env=node | {
        "SLURM_JOB_NODELIST": "n[7-8]", "SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "8"})
    return done, (tmp_path / "calls").read_text().splitlines()


def test_slurm_file(tmp_path, node):
    "Options that sbatch knows; run with stand-ins for Slurm's commands, the second try goes well"
    text = (ASSETS / "train_on_slurm.sh").read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n") and subprocess.run(["bash", "-n"], input=text, text=True).returncode == 0
    given = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", text, flags=re.M)
    assert len(given) == text.count("#SBATCH") and dict(given) == {
        "job-name": "ftlab-train", "nodes": "2", "ntasks-per-node": "1", "gpus-per-node": "8", "cpus-per-task": "64",
        "time": "24:00:00", "signal": "TERM@300", "requeue": "", "open-mode": "append"}
    assert text.rindex("#SBATCH") < re.search(r"^[^#\n]", text, flags=re.M).start()      # sbatch ignores what comes later
    done, calls = slurm(tmp_path, node)
    assert done.returncode == 0 and "try 0 ended; 3 restarts are left" in done.stderr
    assert len(calls) == 3                         # the first try died on its first node
    for rank, call in enumerate(calls[1:]):
        assert call == (f"torchrun --nnodes 2 --node_rank {rank} --nproc_per_node 8 --master_addr n7 --master_port 29500 "
                        "-m ftlab.cli -- train my recipe.yaml --run /shared/runs/mine --nproc 16")
        known(call)


def test_slurm_file_with_fsdp(tmp_path, node):
    done, calls = slurm(tmp_path, node, fsdp=ASSETS / "fsdp2.yaml")
    assert done.returncode == 0 and len(calls) == 2
    from accelerate.commands.launch import launch_command_parser
    args = launch_command_parser().parse_args(calls[1].replace("my recipe", "my").split()[2:])
    assert (args.num_machines, args.machine_rank, args.num_processes, args.main_process_ip) == (2, 1, 16, "n7")
    assert args.training_script_args == ["train", "my.yaml", "--run", "/shared/runs/mine", "--nproc", "16"]


def known(call):
    "torchrun's own parser takes it, and leaves the script's arguments to the script"
    from torch.distributed.run import get_args_parser
    args = get_args_parser().parse_args(call.replace("my recipe", "my").split()[1:])
    assert args.training_script == "ftlab.cli" and args.module and args.training_script_args[0] == "train"
    assert args.training_script_args[2] == "--run"


def test_sky_file(node):
    "The fields of SkyPilot's YAML specification; the run command under its variables"
    sky = yaml.safe_load((ASSETS / "train_on_sky.yaml").read_text(encoding="utf-8"))
    assert set(sky) <= set("name workdir num_nodes resources envs secrets volumes file_mounts setup run config".split())
    assert set(sky["resources"]) <= set("infra accelerators cpus memory use_spot disk_size job_recovery image_id".split())
    assert set(sky["resources"]["job_recovery"]) <= {"strategy", "max_restarts_on_errors", "recover_on_exit_codes"}
    assert isinstance(sky["num_nodes"], int) and all(re.fullmatch("[A-Z_]+", k) for k in sky["envs"])
    assert re.fullmatch(r"[\w-]+:\d+", sky["resources"]["accelerators"])
    Path(node["CALLS"]).write_text("first\n")
    given = {"NUM_NODES": "2", "NODE_RANK": "1", "NUM_GPUS_PER_NODE": "8", "NODE_IPS": "10.0.0.1\n10.0.0.2"}
    done = subprocess.run(["bash", "-c", sky["run"]], env=node | sky["envs"] | {f"SKYPILOT_{k}": v for k, v in given.items()})
    call = Path(node["CALLS"]).read_text().splitlines()[1]
    assert done.returncode == 0 and call.endswith("--run /shared/runs/mine --nproc 16")
    assert "--node_rank 1" in call and "--master_addr 10.0.0.1 " in call
    known(call)
