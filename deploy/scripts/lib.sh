# shellcheck shell=sh
# What the procedures have in common. Sourced, not run.
#
# A procedure speaks to the cluster through `esker` and Kafka's protocol, and to a broker's machine through a driver: a
# command that is given a verb and a broker's id. deploy/scripts/drivers has one for systemd over ssh and one for Amazon's
# Systems Manager; the tests have one for local processes.
#
#     $DRIVER stop ID              an orderly stop; returns when the broker has ended
#     $DRIVER start ID
#     $DRIVER health ID PATH       asks the broker's admin listener for /livez, /readyz, /readyz?in-sync
#     $DRIVER install ID FILE      puts a new binary in place of the old one; the old one stays as FILE.before
#     $DRIVER push ID FILE NAME    puts a file into the broker's TLS folder, whole or not at all
#
# From the environment: DRIVER, BOOTSTRAP (host:port,…), CLIENT (properties file with the security settings, may be empty),
# ESKER (the command; default esker), PATIENCE (seconds that a step may take; default 600).

ESKER=${ESKER:-esker}
PATIENCE=${PATIENCE:-600}
CLIENT=${CLIENT:-}

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

[ -n "${BOOTSTRAP:-}" ] || die "BOOTSTRAP is not set: host:port of a broker, several separated by commas"

# Runs a subcommand of esker against the cluster.
esker_at() {
  if [ -n "$CLIENT" ]; then
    "$ESKER" "$@" --bootstrap-server "$BOOTSTRAP" --command-config "$CLIENT"
  else
    "$ESKER" "$@" --bootstrap-server "$BOOTSTRAP"
  fi
}

driver() {
  [ -n "${DRIVER:-}" ] || die "DRIVER is not set: see deploy/scripts/drivers"
  # shellcheck disable=SC2086 # a driver may have arguments of its own
  $DRIVER "$@"
}

# A table of `esker`, as lines of fields separated by one '|'.
rows() { sed -n 's/[│┆]/|/g; s/^| *//; s/ *|$//; s/ *| */|/gp' | tail -n +2; }

# Topics that are not whole, each with why; empty when all are. Fails when nobody answers.
not_whole() {
  table=$(esker_at topic list) || return 1
  printf '%s\n' "$table" | rows | awk -F'|' 'NF >= 5 && ($4 > 0 || $5 > 0) { printf "%s (%s behind, %s without leader) ", $1, $4, $5 }'
}

# until WHAT COMMAND…: waits until the command succeeds.
until_true() {
  what=$1 health= && shift
  deadline=$(($(date +%s) + PATIENCE))
  until "$@"; do
    [ "$(date +%s)" -lt "$deadline" ] || die "not within $PATIENCE s: $what${health:+ (last answer: $health)}. Nothing further was touched; mend it, then run this again."
    sleep "${PAUSE:-1}"
  done
}

all_whole() {
  left=$(not_whole 2>/dev/null) || return 1
  [ -z "$left" ]
}

# Whether a broker answers that path with yes. What was said instead is in $health: a broker that is behind, and a driver that
# does not reach its machine, are not the same.
healthy() { health=$(driver health "$1" "$2" 2>&1); }

# Whether the cluster has given a broker up. No when nobody answers.
given_up() {
  table=$(esker_at cluster describe) || return 1
  ! printf '%s\n' "$table" | rows | awk -F'|' -v id="$1" '$1 == id { print $4 }' | grep -q alive
}

# Before anything is changed: every partition has all its replicas in sync.
require_whole() {
  left=$(not_whole) || die "no broker of $BOOTSTRAP answers; nothing was changed"
  [ -z "$left" ] || die "not all replicas are in sync: $left; nothing was changed"
}

# A broker that was started is ready, every replica on it is in its ISR, and so is every other.
wait_back() {
  until_true "broker $1 is ready" healthy "$1" /readyz
  until_true "every replica on broker $1 is in sync" healthy "$1" "/readyz?in-sync"
  until_true "all replicas are in sync" all_whole
  say "broker $1 is back and in sync"
}
