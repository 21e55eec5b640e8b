#!/bin/sh
# As root on a Debian: the packages of a real Slurm, none of whose daemons begins. Elsewhere nothing: the tests say what they lack.
set -eu
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi

install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-upgrade --no-install-recommends \
        slurmctld slurmd slurm-client slurmdbd mariadb-server-core mariadb-client-core
}
install || { apt-get update -qq && install; } || echo "Slurm could not be installed: the tests of tests/slurm are skipped" >&2
