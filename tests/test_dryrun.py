"What is said before a run: steps as the Trainer counts them, memory as it is used, and nothing that is not known."
import json
import random
from dataclasses import replace
from importlib.resources import files
from unittest import mock

import pytest
import yaml

from ftlab import dryrun
from ftlab.checkpoint import StopRequests
from ftlab.dryrun import _count, _fullest, _measure, _plan, _predictor, _steps, forecast, show_time
from ftlab.engine import adapt, base_model, collator, optimizer
from ftlab.fit import fits
from ftlab.memory import Plan, budget, measure
from ftlab.pack import packed_loss
from ftlab.recipe import Recipe, _recipe, load_tokenizer, prepare, read_recipe
from ftlab.rehearse import fake_run
from ftlab.shapes import load_shapes
from ftlab.train import _trainer, finetune

SHIPPED = sorted(p.name.removesuffix(".yaml") for p in (files("ftlab")/"assets/recipes").iterdir())
TINY = dict(model="tiny", weights="random", dtype="float32", max_length=512)


def talk(q, a): return {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}


def write(path, talks):
    path.write_text("".join(json.dumps(t) + "\n" for t in talks))
    return str(path)


@pytest.fixture
def data(tmp_path): return write(tmp_path/"some.jsonl", [talk(f"at {h} o'clock", f"0 {h} * * *") for h in range(20)])


def chatter(path, questions, answers):
    "40 talks of random letters, as long as one of these"
    rng = random.Random(1)
    say = lambda lengths: "".join(rng.choices("abcdefgh", k=rng.choice(lengths)))
    return write(path, [talk(say(questions), say(answers)) for _ in range(40)])


@pytest.fixture
def uneven(tmp_path): return chatter(tmp_path/"uneven.jsonl", (3, 9, 40, 200), (1, 5, 90))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    "Four random layers and the byte tokenizer, in a folder"
    from transformers import AutoConfig, AutoModelForCausalLM
    folder = tmp_path_factory.mktemp("model")
    config = AutoConfig.for_model("llama", vocab_size=8000, hidden_size=128, intermediate_size=320, num_hidden_layers=4,
                                  num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    load_tokenizer("tiny", "random").save_pretrained(folder)
    return str(folder)


# ---- the shipped recipes

def test_which_are_shipped():
    assert SHIPPED == ["70b-fsdp-qlora", "cron-smollm2-cpu", "full-smollm2", "llama2-7b-alpaca-qlora", "llama3.2-3b-lora"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_gives_its_reasons_and_is_forecast(name, data):
    text = (files("ftlab")/f"assets/recipes/{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ") and sum(line.startswith("#") for line in text.splitlines()) >= 2
    recipe = read_recipe(name)
    if recipe.data.startswith("data/"): recipe = replace(recipe, data=data)
    told = forecast(recipe, "RTX 4090", price=1, gpus=4 if name.startswith("70b") else 1, measure=False)
    assert told.fits and told.memory["peak_bytes"] > 10**8 and told.cost is None
    assert told.error == "" and (told.doctor is None) == (told.data is None) == (recipe.data in told.missing)
    assert json.loads(json.dumps(told.facts()))["recipe"]["model"] == recipe.model
    assert "not here: RTX 4090 (24.0 GB)" in str(told) and "not known at $1 an hour" in str(told)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_runs_on_a_small_model(name, data, model, tmp_path):
    recipe = read_recipe(name, model=model, data=data, max_length=512, dtype="float32", limit=20, max_steps=2)
    told = forecast(recipe, measure=False)
    run = finetune(recipe, tmp_path/"run", rows=told.rows)
    lines = [json.loads(line) for line in open(run/"metrics.jsonl")]
    assert told.steps["steps"] == lines[-1]["step"] == 2
    assert (run/"model" if recipe.method == "full" else run/"adapter").is_dir()
    m = json.loads((run/"manifest.json").read_text())
    assert m["conversations"] == told.data["conversations"] and m["tokens"] == told.data["tokens"]
    assert m["taught"] == told.data["supervised"]


def test_the_original_lesson_on_gpus_that_are_not_there():
    recipe = read_recipe("llama2-7b-alpaca-qlora")
    for gpu in ("24GB", "12GB"):
        told = forecast(recipe, gpu)
        assert told.fits == (gpu == "24GB") and 12e9 < told.memory["peak_bytes"] < 18e9 and told.steps["steps"] is None
        text = str(told)
        absent = "tatsu-lab/alpaca and meta-llama/Llama-2-7b-hf are not on this machine"
        for line in (f"doctor: not examined, because {absent}", f"data: not counted, because {absent}",
                     "steps: not known, because the conversations are not counted; each of 16 conversations, "
                     "at most 8,192 tokens; num_train_epochs=3", "if every conversation is as long as it may be",
                     f"nine tenths of a GPU that is not here: {gpu}\n",
                     "time: not measured, because the run is for another machine"): assert line in text
    masks = told.memory["activations"] - forecast(replace(recipe, lora_dropout=0.), gpu).memory["activations"]
    assert masks == 2*31*4096*4*512              # q_proj and v_proj in all blocks but the first, a byte for each number of x
    assert forecast(replace(recipe, max_steps=70), "24GB").steps["steps"] == 70        # that is known
    assert [c["words"] for c in told.change] == ["gradient_checkpointing=true"] and told.change[0]["fits"]


def test_what_to_change_is_what_helps():
    recipe = replace(read_recipe("llama2-7b-alpaca-qlora"), max_length=2048)
    told, before = forecast(recipe, "12GB"), None
    assert told.fits is False and told.change[-1]["fits"]
    for change in told.change:
        words = dict(w.split("=") for w in change["words"].split())
        recipe = replace(recipe, **{k: yaml.safe_load(v) for k, v in words.items()})
        now = forecast(recipe, "12GB")
        assert now.memory["peak_bytes"] == change["peak_bytes"] and now.fits == change["fits"]
        assert before is None or now.memory["peak_bytes"] < before
        before = now.memory["peak_bytes"]
        assert f"  {change['words']}: saves " in str(told)
    assert recipe.per_device_train_batch_size*recipe.gradient_accumulation_steps == 16


def test_nothing_is_advised_that_a_recipe_or_the_machine_can_not_do(data, monkeypatch):
    monkeypatch.setattr(dryrun, "_machine", lambda gpu, gpus: {"name": "memory", "bytes": 1000, "here": True, "gpus": 1})
    for method in ("full", "lora"):
        words = " ".join(c["words"] for c in forecast(Recipe(**TINY, data=data, method=method)).change)
        assert words and "adam" not in words and "adapter" not in words
        _recipe({**TINY, **{k: yaml.safe_load(v) for k, v in (w.split("=") for w in words.split())}})


def test_gpus_that_share():
    recipe = read_recipe("70b-fsdp-qlora")
    alone, four = forecast(recipe, "24GB"), forecast(recipe, "24GB", gpus=4)
    assert alone.fits is False and alone.gpus_needed and f"{alone.gpus_needed} such GPUs with FSDP" in str(alone)
    assert alone.gpus_needed == 4 and four.fits and forecast(recipe, "48GB", gpus=2).fits     # as its first lines say
    assert "each of 4 GPUs that are not here: 24GB" in str(four)
    assert four.steps == alone.steps and four.memory["weights"] == -(-alone.memory["weights"]//4)   # the step is shared
    with pytest.raises(ValueError, match="1 conversations × 16 rows can't be shared by 3 processes"):
        forecast(recipe, "24GB", gpus=3)
    wide = replace(recipe, per_device_train_batch_size=8, gradient_accumulation_steps=2)
    words = [c["words"] for c in forecast(wide, "12GB", gpus=8).change]
    assert "per_device_train_batch_size=1 gradient_accumulation_steps=16" in words


# ---- the parts

@pytest.mark.parametrize("batch,turns,epochs", [(3, 1, 1), (3, 2, 2), (6, 3, 1.5), (20, 1, .3), (64, 4, 1)])
def test_steps_are_the_trainers(data, tmp_path, batch, turns, epochs):
    recipe = Recipe(**TINY, data=data, per_device_train_batch_size=batch, gradient_accumulation_steps=turns,
                    num_train_epochs=epochs, save_steps=0)
    rows = prepare(recipe, load_tokenizer("tiny", "random"))
    model = adapt(base_model(recipe)[0], recipe)
    trainer = _trainer(model, recipe, rows, None, tmp_path, 0, None, StopRequests())
    counted = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1]
    assert _steps(recipe, 20) == counted


@pytest.mark.parametrize("packing,share", [(True, True), (True, False), (False, False)])
def test_no_batch_is_fuller_than_the_fullest(uneven, packing, share):
    recipe = Recipe(**TINY, data=uneven, packing=packing, share_prefix=share)
    rows = prepare(recipe, load_tokenizer("tiny", "random"))
    counted, lengths, taught = _count(rows, recipe)
    assert counted["shared"] == (1 + len("user\n"))*share          # a marker is one token, like every byte
    rng, put = random.Random(0), collator(recipe)
    for batch in (1, 2, 5, 16):
        most, logits, attended = _fullest(recipe, batch, recipe.max_length, lengths, taught, counted["shared"])
        seen = [put(rng.sample(rows, batch)) for _ in range(100)]
        seen.append(put(sorted(rows, key=lambda r: -len(r["labels"]))[:batch]))
        sizes = [b["input_ids"].numel() for b in seen]
        assert .9*most <= max(sizes) <= most + 15*packing and attended == most + (batch - 1)*counted["shared"]
        assert logits == 0 if not packing else max(int((b["labels"] != -100).sum()) for b in seen) <= logits < most


def test_a_limit_on_length_limits_the_batch():
    recipe = Recipe(**TINY)
    assert _fullest(recipe, 4, 100) == (400, 0, 400)
    assert _fullest(recipe, 2, 100, [90, 300, 50], [1, 2, 3]) == (190, 5, 190)
    assert _fullest(recipe, 9, 100, [90, 80], [1, 1], 30) == (140, 2, 170)     # fewer than a batch, sharing 30


def alive(recipe, rows):
    "Bytes of living tensors in two real steps of the engine on the fullest batch"
    lm = adapt(base_model(recipe)[0], recipe).train()
    if recipe.gradient_checkpointing: lm.gradient_checkpointing_enable({"use_reentrant": False})
    worst = sorted(rows, key=lambda r: -len(r["labels"]))[:recipe.per_device_train_batch_size]
    inputs = {k: v for k, v in collator(recipe)(worst).items() if k not in ("origins", "shift_labels")}
    opt = optimizer(lm, recipe)
    def step():
        for _ in range(2):
            (packed_loss(lm, inputs)/100).backward()
            opt.step()
            opt.zero_grad()
    return measure(step)["peak_bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("change", [{}, {"method": "full"}, {"dtype": "bfloat16"}, {"target_modules": "q_proj,v_proj"},
                                    {"gradient_checkpointing": True}, {"share_prefix": False},
                                    {"lora_dropout": .1}, {"lora_dropout": .1, "dtype": "bfloat16"},
                                    {"lora_dropout": .1, "method": "qlora"}, {"use_dora": True},
                                    {"use_dora": True, "method": "qlora", "lora_dropout": .1}], ids=str)
def test_memory_of_the_engines_own_step(tmp_path, model, change):
    data = chatter(tmp_path/"some.jsonl", (3, 9, 40, 200), (60,))      # the longest are then the most taught
    recipe = Recipe(model=model, data=data, per_device_train_batch_size=8, max_length=512,
                    **{"dtype": "float32"} | change)
    rows = prepare(recipe, load_tokenizer(model))
    counted, *sizes = _count(rows, recipe)
    need = _predictor(recipe, recipe.dtype, False, *sizes, counted["shared"])(load_shapes(model), _plan(recipe))
    assert abs(need["peak_bytes"]/alive(recipe, rows) - 1) < .15


@pytest.mark.slow
def test_logits_and_product_in_formula_and_rehearsal():
    shapes = load_shapes("smollm2-135m-instruct")
    for method in ("full", "lora"):
        plan = Plan(method, batch=2, length=512, dtype="float32", logits=100)
        a, b, whole = budget(shapes, plan), fake_run(shapes, plan), budget(shapes, replace(plan, logits=0))
        assert abs(a["peak_bytes"]/b["peak_bytes"] - 1) < .05 and a["logits"]*1024 == whole["logits"]*100
    assert budget(shapes, replace(plan, logits=5000)) == whole


# ---- what the forecast says

def test_everything_is_known_here(data):
    told = forecast(Recipe(**TINY, data=data, per_device_train_batch_size=4), price=2)
    assert told.missing == [] and told.error == "" and told.fits and told.machine["here"]
    assert told.steps == {"steps": 5, "conversations": 4, "most_tokens": told.steps["most_tokens"]}
    assert told.data["conversations"] == len(told.rows) == 20 and 0 < told.data["supervised"] < 1
    assert told.time["steps"] == 3 and told.cost == pytest.approx(2*told.time["seconds"]/3600)
    assert told.time["seconds"] == pytest.approx(5*told.time["seconds_per_step"])
    assert "20 conversations" in told.short and "time:" not in told.short and "time:" in str(told)


def test_time_comes_from_tokens_that_are_stored(data, monkeypatch):
    monkeypatch.setattr(dryrun, "_measure", lambda recipe, rows: {"steps": 3, "seconds": 2., "tokens": 100, "peak_gb": 1.})
    told = forecast(Recipe(**TINY, data=data, per_device_train_batch_size=4, gradient_accumulation_steps=2), price=3)
    mean, shared = told.data["tokens"]/20, told.data["shared"]
    assert shared == 9 and told.time["seconds_per_step"] == pytest.approx(2/100*2*(4*mean - 3*shared))
    assert told.time["seconds"] == 3*told.time["seconds_per_step"] and told.cost == told.time["seconds"]/1200
    apart = forecast(Recipe(**TINY, data=data, per_device_train_batch_size=4, share_prefix=False))
    assert apart.time["seconds_per_step"] == pytest.approx(2/100*4*mean)


def test_a_slow_step_is_the_last_one(data):
    recipe = Recipe(**TINY, data=data, per_device_train_batch_size=4)
    rows = prepare(recipe, load_tokenizer("tiny", "random"))
    assert _measure(recipe, rows, most=0)["steps"] == 1 and _measure(recipe, rows)["steps"] == 3


def test_measuring_changes_no_run(data, tmp_path):
    recipe = Recipe(**TINY, data=data, max_steps=2)
    before = finetune(recipe, tmp_path/"a")
    after = finetune(recipe, tmp_path/"b", rows=forecast(recipe).rows)
    file = "adapter/adapter_model.safetensors"
    assert (before/file).read_bytes() == (after/file).read_bytes()


def test_errors_in_the_data_are_told_by_code(tmp_path):
    bad = write(tmp_path/"bad.jsonl", [talk("a", "b"), talk("c", ""), {"no": 1}, talk("a", "b")])
    told = forecast(Recipe(**TINY, data=bad))
    assert told.doctor["errors"] == {"empty-answer": 1, "not-a-record": 1} and told.doctor["warnings"]["exact-duplicate"] == 1
    assert "bad.jsonl:2 empty-answer" in told.error and told.data is told.rows is None and told.steps["steps"] is None
    assert told.time == {"why": "the data has errors"} and "the run would stop: 2 errors in the data" in str(told)
    allowed = forecast(Recipe(**TINY, data=bad, allow="empty-answer,not-a-record"), measure=False)
    assert allowed.error == "" and allowed.doctor["left_out"] == {"empty-answer": 1, "not-a-record": 1}
    assert allowed.data["conversations"] == 2 and allowed.time == {"why": "it was not asked for"}


def test_data_here_and_model_not(data):
    told = forecast(replace(read_recipe("llama3.2-3b-lora"), data=data, limit=18), "24GB")
    assert told.missing == ["meta-llama/Llama-3.2-3B"] and told.data == {"conversations": 18}
    assert told.steps["steps"] == 2 and "18 conversations; tokens not counted, because meta-llama" in str(told)


def test_input_that_can_not_be_forecast(data, tmp_path):
    def refuses(kind, words, recipe, *args):
        with pytest.raises(kind, match=words): forecast(recipe, *args)
    good = Recipe(**TINY, data=data)
    refuses(ValueError, "names no data", replace(good, data=""))
    refuses(FileNotFoundError, "there is no file", replace(good, data=str(tmp_path/"no.jsonl")))
    refuses(FileNotFoundError, "no embedded model", replace(good, weights="real"))
    refuses(ValueError, "'24' is no size", good, "24")
    refuses(ValueError, "price=-1: dollars an hour", good, None, -1)
    refuses(ValueError, "gpus=0: at least 1", good, None, None, 0)
    refuses(ValueError, "no linear layer matches zz", replace(good, target_modules="zz"))
    refuses(ValueError, "nonsense is not supported", replace(good, report_to="nonsense"))
    refuses(ModuleNotFoundError, "swanlab is not installed; run `pip install swanlab`", replace(good, report_to="swanlab"))


def test_a_reporter_that_is_there(data):
    with mock.patch("transformers.integrations.get_available_reporting_integrations", lambda: ["tensorboard"]):
        assert forecast(Recipe(**TINY, data=data, report_to="tensorboard"), measure=False).fits


def test_the_memory_that_is_free(monkeypatch, tmp_path, data):
    share = tmp_path/"max"
    monkeypatch.setattr(dryrun, "_LIMITS", (share,))
    share.write_text("2000000\n")
    told = forecast(Recipe(**TINY, data=data))
    assert told.machine == {"name": "memory", "bytes": 2_000_000, "here": True, "gpus": 1}
    assert told.fits == fits(told.memory, 2_000_000) is False and told.time == {"why": "it does not fit"}
    share.write_text("max\n")
    assert dryrun._machine()["bytes"] > 10**8


def test_processes_that_share_this_machine(data, monkeypatch):
    monkeypatch.setattr(dryrun, "_free", lambda: 10**8)
    recipe = Recipe(**TINY, data=data, per_device_train_batch_size=4)
    one, two = forecast(recipe, measure=False), forecast(recipe, gpus=2, parallel="ddp")
    assert two.machine["bytes"] == one.machine["bytes"]//2 and two.steps == one.steps
    assert two.memory["weights"] == one.memory["weights"] and two.memory["activations"] < one.memory["activations"]
    assert two.memory["parallel"] == two.memory["gradients"] and two.time == {"why": "it is for 2 processes"}
    assert "the 50.0 MB of memory that are free here for each of 2" in str(two)


def test_a_gpu_that_is_here(monkeypatch, data):
    monkeypatch.setattr(dryrun, "device", lambda: "cuda")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (10**9, 2*10**9))
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "Card")
    told = forecast(Recipe(**TINY, data=data), measure=False)
    assert told.fits and "the 1.0 GB of Card that are free here" in str(told)


def test_time_in_words():
    said = {.0123: "0.0123 s", 89.94: "89.9 s", 90: "1.5 min", 5399: "90.0 min", 5400: "1.5 h"}
    assert [show_time(s) for s in said] == [*said.values()]
