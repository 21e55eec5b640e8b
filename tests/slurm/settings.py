"""What the daemons of a throw-away cluster read. A key that is given twice holds as given last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CPUS = 4
GPUS = 2
MEMORY = 8000
"""Per node; MB. The nodes may have more CPUs than this machine, and memory is counted but not enforced."""
CRED_EXPIRE = 10
"""Seconds until a requeued job may start again: with less it can meet its own dying first run, which drains the node."""

FIRST = "ClusterName=throwaway\n"
"""By it a folder is known that may be removed."""

_SLURM = """\
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny

# On one machine nothing need be signed.
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire={cred_expire}

StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
MailProg=/bin/true

ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
MpiDefault=none
PropagateResourceLimits=NONE

# Without a default a job takes the memory of its whole node.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal

MaxArraySize=10001
MaxJobCount=20000
MinJobAge=300
JobRequeue=1
KillWait=2
SlurmdTimeout=15
MessageTimeout=15
UnkillableStepTimeout=30
ReturnToService=2

GresTypes=gpu
SlurmdParameters=config_overrides
{nodes}

PartitionName=main Nodes=ALL Default=YES DefaultTime=60 MaxTime=INFINITE PriorityTier=5 PreemptMode=OFF
PartitionName=low Nodes=ALL DefaultTime=60 MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=10
PartitionName=high Nodes=ALL DefaultTime=60 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
PartitionName=short Nodes=ALL DefaultTime=1 MaxTime=1 PriorityTier=5 PreemptMode=OFF
"""

_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=limits
"""

_SLURMDBD = """\
AuthType=auth/none
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""

_MARIADBD = """\
[mariadbd]
user=root
datadir={folder}/db
socket={folder}/run/db.sock
pid-file={folder}/run/mariadbd.pid
log-error={folder}/log/mariadbd.log
skip-networking
skip-name-resolve
innodb_log_file_size=8M
innodb_buffer_pool_size=64M
innodb_lock_wait_timeout=900
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=0
innodb_flush_method=nosync
"""


def slurm(folder: Path, controller: int, nodes: Mapping[str, int], extra: str) -> str:
    """slurm.conf: the controller's port, each node's, and lines that come last."""
    described = [
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} RealMemory={MEMORY} Gres=gpu:{GPUS}"
        for name, port in nodes.items()
    ]
    text = _SLURM.format(folder=folder, controller=controller, nodes="\n".join(described), cred_expire=CRED_EXPIRE)
    return f"{FIRST}{text}\n{extra}\n"


def gres(folder: Path) -> str:
    """gres.conf. CUDA_VISIBLE_DEVICES is set only for character devices."""
    return f"AutoDetect=off\nName=gpu File={folder}/gpu/gpu[0-{GPUS - 1}]\n"


def accounting(port: int) -> str:
    """The part of slurm.conf that lets `sacct` answer."""
    return _ACCOUNTING.format(port=port)


def slurmdbd(folder: Path, port: int) -> str:
    return _SLURMDBD.format(folder=folder, port=port)


def mariadbd(folder: Path) -> str:
    return _MARIADBD.format(folder=folder)
