#!/bin/bash

# Parameters
#SBATCH --account=vision
#SBATCH --array=0-4,7%4
#SBATCH --constraint='a&b'
#SBATCH --cpus-per-task=8
#SBATCH --dependency=aftercorr:1234,afterok:1235_3
#SBATCH --exclude=node7,node9
#SBATCH --gpus-per-node=8
#SBATCH --job-name=pretrain-1
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --mem=512G
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --open-mode=append
#SBATCH --output='/store/a b/.arrays/pretrain-1/%a.log'
#SBATCH --partition=gpu
#SBATCH --qos=long
#SBATCH --requeue
#SBATCH --reservation=mine
#SBATCH --signal=USR2@120
#SBATCH --time=1440

# setup
module load cuda
ulimit -l unlimited

# command
export SUBMITIT_EXECUTOR=slurm
export PYTHONSAFEPATH=1
job="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
export SIMCLR_SPEC_BEGAN="$(date +%s)"
export MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
export SIMCLR_SPEC_PAST="$([ "${SLURM_RESTART_COUNT:-0}" = 0 ] || timeout 30 sacct --noheader --parsable2 --allocations --duplicates --jobs="$job" --format=JobName,State,NodeList 2>/dev/null)"
srun --kill-on-bad-exit=1 --cpus-per-task=8 --label --mpi=none apptainer exec --nv image.sif python -u -m simclr_spec.dispatch.slurm.element work '/store/a b/.arrays/pretrain-1'
code=$?
srun --nodes=1 --ntasks=1 --mpi=none apptainer exec --nv image.sif python -u -m simclr_spec.dispatch.slurm.element again '/store/a b/.arrays/pretrain-1' "$code"
next=$?
if [ "$next" = 40 ]; then
  for try in 1 2 3 4 5 6; do
    scontrol requeue "$job" && sleep 3600
    sleep 20
  done
fi
[ "$next" = 41 ] && exit 0
exit "$code"
