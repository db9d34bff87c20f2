#!/bin/bash
# Train longer than the time limit, or where jobs are preempted:
# sbatch requeue.sh. The job puts itself back into the queue until the run is
# complete.

#SBATCH --job-name=bop-requeue
#SBATCH --partition=gpu
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.out
# The job keeps its number, so each start writes to the same file.
#SBATCH --open-mode=append
# Allow SLURM to put the job back after preemption or the loss of its node.
#SBATCH --requeue
# Without B, the signal reaches only the run, and this script remains to
# requeue the job.
#SBATCH --signal=TERM@120

VENV=${VENV:-$HOME/bop/env}
RUNS=${RUNS:-$HOME/bop/runs}
export BOPKIT_DATA_DIR=${BOPKIT_DATA_DIR:-$HOME/bop/data}
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

srun "$VENV/bin/bopkit" train binarynet --dataset cifar10 \
    --hparams-set bop_sec52 --output-dir "$RUNS/requeue" "$@"
code=$?

# 143 is 128 + 15 (SIGTERM): the run has saved its step, and the same command
# resumes it. Any other code means that the run is complete or has failed, so
# the job must not start again.
if [ "$code" -eq 143 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
