"""Prepare many files on a Ray cluster. Edit the block below, then `RAY_ADDRESS=auto python on_ray.py` on its head node.

Without RAY_ADDRESS, Ray starts a cluster of this one machine. `pip install ray` beside ftlab[scale], on every node
the same versions.
Afterwards: load_dataset("parquet", data_files=f"{OUT}/rows/*.parquet"); what was set aside is in OUT/rejected.
"""
from glob import glob

from datatrove.executor import RayPipelineExecutor
from transformers import AutoTokenizer

from ftlab.core import model_path
from ftlab.scale import steps

# ---- edit: every path must be one that all nodes see
FILES = sorted(glob("/shared/conversations/*.jsonl"))
MODEL = "HuggingFaceTB/SmolLM2-1.7B-Instruct"   # a hub id or a folder
MAX_LENGTH = 4096                               # tokens of the longest conversation
OUT, LOGS = "/shared/prepared", "/shared/prepared-logs"
# ----

executor = RayPipelineExecutor(
    steps(FILES, AutoTokenizer.from_pretrained(model_path(MODEL)), OUT, MAX_LENGTH),
    tasks=len(FILES), cpus_per_task=1, mem_per_cpu_gb=2, logging_dir=LOGS)

if __name__ == "__main__": executor.run()
