#!/bin/bash
# Train on many nodes of a Slurm cluster. Edit the two blocks, then `sbatch train_on_slurm.sh`.
# A job that was pre-empted or lost a node is queued again, and goes on from its last checkpoint; so does this
# file when you submit it again. The minutes before the end of its time are used for a last checkpoint.
#SBATCH --job-name=ftlab-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append

# ---- edit: every path must be one that all nodes see
RECIPE=/shared/recipe.yaml
RUN=/shared/runs/mine
VENV=/shared/venv
FSDP=""                       # the path of fsdp2.yaml for a model that doesn't fit on one GPU; "": DDP
RESTARTS=3                    # how often the whole job may begin again when a process dies
# ----

set -u
source "$VENV/bin/activate"
export HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) RECIPE RUN FSDP
export GPUS=${SLURM_GPUS_ON_NODE:?this job was given no GPUs}

per_node='
if [ -n "$FSDP" ]; then
  exec accelerate launch --config_file "$FSDP" --num_machines "$SLURM_NNODES" --machine_rank "$SLURM_NODEID" \
    --num_processes $((SLURM_NNODES * GPUS)) --main_process_ip "$HEAD" --main_process_port 29500 \
    -m ftlab.cli -- train "$RECIPE" --run "$RUN" --nproc $((SLURM_NNODES * GPUS))
fi
exec torchrun --nnodes "$SLURM_NNODES" --node_rank "$SLURM_NODEID" --nproc_per_node "$GPUS" \
  --master_addr "$HEAD" --master_port 29500 \
  -m ftlab.cli -- train "$RECIPE" --run "$RUN" --nproc $((SLURM_NNODES * GPUS))
'
for try in $(seq 0 "$RESTARTS"); do
  srun --kill-on-bad-exit=1 bash -c "$per_node" && exit 0
  echo "try $try ended; $((RESTARTS - try)) restarts are left" >&2
done
exit 1
