#!/bin/bash
# Train one network on one GPU: sbatch one_gpu.sh
# To resume a run that the time limit stopped, submit it again.

#SBATCH --job-name=bop
#SBATCH --partition=gpu
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --output=%x-%j.out
# Two minutes before the time limit SLURM warns the run, which saves its step.
#SBATCH --signal=TERM@120

VENV=${VENV:-$HOME/bop/env}  # the environment that holds bopkit
RUNS=${RUNS:-$HOME/bop/runs} # on a file system that every node sees
export BOPKIT_DATA_DIR=${BOPKIT_DATA_DIR:-$HOME/bop/data}

# Since version 22.05 srun no longer takes the number of CPUs from sbatch.
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# SLURM's signals reach processes that srun starts. Options after the script's
# name come last, so they override the options here.
srun "$VENV/bin/bopkit" train binarynet --dataset cifar10 \
    --hparams-set bop_sec52 --output-dir "$RUNS/one_gpu" "$@"
