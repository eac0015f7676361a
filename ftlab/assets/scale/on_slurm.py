"""Prepare many files on a Slurm cluster. Edit the block below, then `python on_slurm.py` on the login node.

A task takes one file at a time; a job that dies is queued again, and what is done is not done twice.
Afterwards: load_dataset("parquet", data_files=f"{OUT}/rows/*.parquet"); what was set aside is in OUT/rejected.
"""
from glob import glob

from datatrove.executor import SlurmPipelineExecutor
from transformers import AutoTokenizer

from ftlab.core import model_path
from ftlab.scale import steps

# ---- edit: every path must be one that all nodes see
FILES = sorted(glob("/shared/conversations/*.jsonl"))
MODEL = "HuggingFaceTB/SmolLM2-1.7B-Instruct"   # a hub id or a folder
MAX_LENGTH = 4096                               # tokens of the longest conversation
OUT, LOGS = "/shared/prepared", "/shared/prepared-logs"
PARTITION, TIME, VENV = "cpu", "04:00:00", "/shared/venv/bin/activate"
# ----

executor = SlurmPipelineExecutor(
    steps(FILES, AutoTokenizer.from_pretrained(model_path(MODEL)), OUT, MAX_LENGTH),
    tasks=len(FILES), partition=PARTITION, time=TIME, venv_path=VENV, cpus_per_task=1, mem_per_cpu_gb=2,
    job_name="ftlab-prepare", logging_dir=LOGS, requeue=True)

if __name__ == "__main__": executor.run()
