#!/bin/bash
# Train one network on the GPUs of two nodes: sbatch two_nodes.sh
# To resume, submit it again.

#SBATCH --job-name=bop-two
#SBATCH --partition=gpu
#SBATCH --nodes=2
# One task per node: each uses all GPUs that the job has on its node.
#SBATCH --ntasks-per-node=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.out
#SBATCH --signal=TERM@120

VENV=${VENV:-$HOME/bop/env}
RUNS=${RUNS:-$HOME/bop/runs} # on a file system that both nodes see
export BOPKIT_DATA_DIR=${BOPKIT_DATA_DIR:-$HOME/bop/data}
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

# Twice the workers, so twice the batch. γ grows with it: 100 and 2e-4 instead
# of 50 and 1e-4. If you pass --hparams, it replaces this list, so repeat the
# batch and γ. The two tasks find each other from SLURM's variables. If one of
# them ends, the other has two minutes to save before srun ends it.
srun --wait=120 "$VENV/bin/bopkit" train binarynet --dataset cifar10 \
    --hparams-set bop_sec52 --hparams batch_size=100,gamma=2e-4 \
    --output-dir "$RUNS/two_nodes" "$@"
