#!/bin/bash
# Train each setting with each seed, as one task of a job array:
# sbatch sweep_array.sh. To repeat failed or stopped runs, submit the script
# again. A completed run ends immediately.

#SBATCH --job-name=bop-sweep
#SBATCH --partition=gpu
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=12:00:00
#SBATCH --output=%x-%A_%a.out
#SBATCH --signal=TERM@120
# From 0 to (settings * seeds - 1). To run at most 4 tasks at the same time,
# write 0-8%4.
#SBATCH --array=0-8

settings=(gamma=1e-2 gamma=1e-3 gamma=1e-4)
seeds=(0 1 2)
shared=${HPARAMS:-epochs=100} # hyperparameters of all tasks

VENV=${VENV:-$HOME/bop/env}
RUNS=${RUNS:-$HOME/bop/runs}
export BOPKIT_DATA_DIR=${BOPKIT_DATA_DIR:-$HOME/bop/data}
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK

for option in "$@"; do
    case $option in
    --hparams | --hparams=* | --seed | --seed=* | --output-dir | --output-dir=*)
        echo "Each task sets ${option%%=*} itself;" \
            "shared hyperparameters go into HPARAMS." >&2
        exit 2
        ;;
    esac
done

setting=${settings[SLURM_ARRAY_TASK_ID / ${#seeds[@]}]}
seed=${seeds[SLURM_ARRAY_TASK_ID % ${#seeds[@]}]}
if [ -z "$setting" ]; then
    echo "There is no setting for task $SLURM_ARRAY_TASK_ID:" \
        "--array ends too late." >&2
    exit 2
fi

# Each run has its own folder. `bopkit results $RUNS/sweep` prints one table of
# all runs. --holdout validates on training images, because a sweep must not
# choose by the test set.
srun "$VENV/bin/bopkit" train binarynet --dataset cifar10 --hparams-set bop \
    --hparams "$shared,$setting" --seed "$seed" --holdout 5000 \
    --output-dir "$RUNS/sweep/$setting-seed$seed" "$@"
