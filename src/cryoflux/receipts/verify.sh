#!/bin/sh
# Checks this bundle: bytes, signatures, order, tree, arithmetic and decisions of its log.
#
#   sh verify.sh [KEYID]      KEYID is the id of the log's first key, told by its owner in another way
#
# It needs openssl (3 or newer), jq (1.6 or newer), sha256sum, xxd and what every system has; no CryoFlux, no
# Python, no network. It changes nothing. Exit code 0: everything holds. 1: something does not, and is named.
# README.txt says what each file is, which bytes do not matter, and what a passed check does not show.
set -u
export LC_ALL=C
case $0 in */*) cd "${0%/*}" || exit 2 ;; esac
t=$(mktemp -d) || exit 2 # what is known so far lies here as small files
trap 'rm -rf "$t"' EXIT

bad=0
fail() { # $1: where, $2: what is wrong
  printf 'FAILED %s: %s\n' "$1" "$2"
  bad=$((bad + 1))
}
sum() { sha256sum | cut -c 1-64; }
unhex() { xxd -r -p; }
same() { [ -f "$2" ] && [ "$(sum < "$1")" = "$(sum < "$2")" ]; } # two files, byte for byte

# ---- Keys -------------------------------------------------------------------------------------------------
# A key is called by its id: the SHA-256 of its DER form. A key file has to be, byte for byte, what openssl
# writes: a PEM has many spellings, and text around it that nobody reads.

der() { openssl pkey -pubin -in "$1" -outform DER 2> /dev/null; }
keyid() { der "$1" | sum; }
signed() { # key file $1 has signed file $2 with the signature in file $3
  openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3" > /dev/null 2>&1
}
check_key() { # a key file
  openssl pkey -pubin -in "$1" > "$t/pem" 2> /dev/null && same "$t/pem" "$1" ||
    fail "$1" "is no public key in PEM, as openssl writes it"
}

check_key keys/receipt.pub
check_key keys/log.pub
first=$(keyid keys/receipt.pub)
origin=cryoflux.dev/$(printf %.16s "$first")
[ "${1:-$first}" = "$first" ] || fail keys/receipt.pub "is key $first, and not the one that you were told"
for f in keys/*.pem; do
  check_key "$f"
  [ "keys/$(keyid "$f").pem" = "$f" ] || fail "$f" "is another key than its name says"
done

# ---- The tree ---------------------------------------------------------------------------------------------
# RFC 6962: a leaf is SHA-256(0x00 and the entry), a node is SHA-256(0x01 and the two below it). The files in
# log/tile are C2SP tlog-tiles: 256 hashes each, of level 0 the leaves, of level 1 the roots of 256 leaves, and
# so on; log/tile/entries holds the entries, each after its length. All of them follow from the entries, so
# they are made again here and compared. count_L: hashes of level L so far. roots_L: roots of the perfect
# subtrees in its last tile, left to right. $t/tile.L: bytes of its last tile.

node() { printf '01%s%s' "$1" "$2" | unhex | sum; }
place() { # the file of level $1 in which hash (or entry) number $2, counted from 1, is the last
  tile=$((($2 - 1) / 256))
  path=$(printf %03d $((tile % 1000)))
  while [ $((tile /= 1000)) -gt 0 ]; do path=$(printf x%03d/%s $((tile % 1000)) "$path"); done
  printf log/tile/%s/%s "$1" "$path"
  [ $(($2 % 256)) = 0 ] || printf .p/%d $(($2 % 256))
}
check_tile() { # the last tile of level $1, which has $2 hashes (or entries) in all
  published=$(place "$1" "$2")
  same "$t/tile.$1" "$published" || fail "$published" "is not what the entries give"
  : > "$t/tile.$1"
}
grow() { # add hash $2 to level $1, and the root of each tile that this fills to the level above
  level=$1 hash=$2
  while :; do
    eval "count=\${count_$level:-0} roots=\${roots_$level:-}"
    printf %s "$hash" | unhex >> "$t/tile.$level"
    pairs=$((count % 256))
    while [ $((pairs & 1)) = 1 ]; do # two subtrees of one size become one
      hash=$(node "${roots##* }" "$hash")
      roots=${roots% *}
      pairs=$((pairs >> 1))
    done
    roots="$roots $hash"
    count=$((count + 1))
    [ $((count % 256)) = 0 ] || break
    check_tile "$level" "$count"
    eval "count_$level=\$count roots_$level="
    hash=${roots# }
    level=$((level + 1))
  done
  eval "count_$level=\$count roots_$level=\$roots"
}
finish_tree() { # check the tiles that are not full; the root is in $root afterwards
  level=0 peaks=
  while eval "count=\${count_$level:-0} roots=\${roots_$level:-}" && [ "$count" != 0 ]; do
    peaks=$roots$peaks
    [ $((count % 256)) = 0 ] || check_tile "$level" "$count"
    level=$((level + 1))
  done
  root=${peaks##* }
  [ -n "$peaks" ] || root=$(: | sum)
  while peaks=${peaks% *} && [ -n "$peaks" ]; do root=$(node "${peaks##* }" "$root"); done
}

# ---- What an entry says -----------------------------------------------------------------------------------
# Read by jq from its payload: ten lines of facts, then a line for each thing that is wrong. The first form of
# intents and receipts is said in the words of the second. An integer that may be longer than jq's own is a
# list of numbers below 10^6, lowest first.

reading='
def need($ok; $what): if $ok then empty else $what end;

def digits: tostring | [while(. != ""; .[:-6]) | .[-6:] | tonumber];
def carried: reduce .[] as $d ([[], 0]; ($d + .[1]) as $s | [.[0] + [$s % 1000000], ($s / 1000000 | floor)])
  | .[0] + (.[1] | [while(. > 0; . / 1000000 | floor) | . % 1000000])
  | until(. == [] or .[-1] != 0; .[:-1]);
def times($a; $b): [range(($a | length) + ($b | length)) as $k
  | [range($a | length) as $i | select($k >= $i and $k - $i < ($b | length)) | $a[$i] * $b[$k - $i]]
  | add // 0] | carried;
def above($a; $b): ($a | [length, reverse]) > ($b | [length, reverse]);
def square: (if . < 0 then -. else . end) | digits | times(.; .);

def is_hash: type == "string" and length == 64
  and (explode | all((. >= 48 and . <= 57) or (. >= 97 and . <= 102)));
def is_name: type == "string" and length <= 64 and . != ""
  and (explode | all((. >= 97 and . <= 122) or (. >= 48 and . <= 57) or . == 95 or . == 45));
def version: if type == "object" and (.digest | is_hash) and (.files | is_hash)
  then "\(.digest) \(.files)" else "-" end;
def number: if type == "number" then tostring else "-" end;
def hash: if is_hash then . else "-" end;

# Whether a text has nothing but whole numbers outside of its strings; jq itself reads 1.0 as 1.
def without($x): split($x) | join("");
def whole: without("\\\\") | without("\\\"") | split("\"") | [.[range(0; length; 2)]] | join("")
  | without("true") | without("false")
  | (contains(".") or contains("e") or contains("E") or contains("-0")) | not;

def task: .task | if type == "object" then .name else . end;
def hits: if .baseCorrect then {base: .baseCorrect, new: .newCorrect, gained, lost} else .hits end;
def rule: {name, minDelta: (.minDelta // .minDeltaNanoNat), minAccuracyGainPpm, zMilli, alphaPpm, screen};
def evaluation($count): {
  read: (.read // .examples // $count), candidate, hits: hits,
  base: (.baseLossSum // .baseLossNanoNatSum), new: (.newLossSum // .newLossNanoNatSum),
  delta: (.deltaSum // .deltaNanoNatSum), squared: (.deltaSquaredSum // .deltaSquaredNanoNatSum)};

# Whether the rule keeps it: thresholds r, evidence needed (thousandths), count n, Σδ s, Σδ² v, hits h.
def verdict($r; $needed; $n; $s; $v; $h):
  ($s >= $r.minDelta * $n) as $large
  | ($h != null and ($h.new - $h.base) * 1000000 >= $r.minAccuracyGainPpm * $n) as $right
  | (if $h then $h.gained - $h.lost else 0 end) as $gain
  | (if $h then $h.gained + $h.lost else 0 end) as $changed
  | ($r.zMilli * $r.zMilli) as $zz
  | if $r.name == "whitepaper/v1" then $large or $right
    elif $r.name == "evidence/v1" then
      ($large and $s > 0 and above(
        times($s | square; ($n - 1) * 1000000 + $zz | digits);
        times($zz | digits; times($n | digits; $v | digits))))
      or ($right and $gain > 0 and $s >= 0 and $gain * $gain * 1000000 > $zz * $changed)
    elif $r.name == "evidence/v2" then
      ($large and $s > 0 and above(times($s | square; 1000 | digits); times($needed | digits; $v | digits)))
      or ($right and $gain > 0 and $s >= 0 and $gain * $gain * 1000 > $needed * $changed)
    else "a rule that this script does not know" end;

def losses($e; $count):
  need($e.delta == $e.base - $e.new; "Δ is not base - new"),
  need($e.read >= 1 and $e.read <= $count; "more was read than the holdout has"),
  need(above($e.delta | square; times($e.read | digits; $e.squared | digits)) | not;
    "Σδ² is too small for Σδ"),
  need(($e.squared[-1:] | tonumber) % 2 == ($e.delta % 2 | if . < 0 then -. else . end);
    "Σδ² and Σδ are not both even or both odd"),
  ($e.hits | select(.) | need(.new - .base == .gained - .lost and .new <= $e.read and .gained <= $e.read - .base
    and .lost <= .base; "hits do not add up"));

def receipt($p; $two):
  (if $p.evaluation then $p.evaluation | evaluation($p.holdout.count) else null end) as $e
  | $p.decision as $d
  | need($p.outcome | IN("accepted", "rejected", "undecided", "aborted"); "ended as nothing that is known"),
    need(($p.outcome == "accepted") == ($d != null and $d.accepted); "outcome and decision disagree"),
    need(($p.outcome == "aborted") == ($d == null); "was aborted with a decision, or ended without one"),
    need(($two | not) or (($p.cause != null) == ($p.outcome == "aborted"));
      "a cause is there for what was aborted, and for nothing else"),
    need($p.result == (if $p.outcome == "accepted" then $e.candidate // 0 else $p.base end);
      "result is another model"),
    ($p.energy | need(.loMicrojoules <= .microjoules and .microjoules <= .hiMicrojoules;
      "energy interval is out of order")),
    (if $announced == null then "closes no attempt that is open" else
      need($p.task == $announced.task; "is of another attempt than it says"),
      need($e == null or $p.evaluation.metric == $announced.metric;
        "measures something else than was announced"),
      need($p.holdout == $announced.holdout; "uses another holdout than was announced"),
      need($p.energy.reservedMicrojoules == $announced.reserved; "reserved something else than was announced"),
      need($d == null or ($d.rule | rule) == $announced.rule; "is judged by another rule than was announced")
    end),
    (if $e == null then empty else
      losses($e; $p.holdout.count),
      (($d.bar // $d.rule).neededMilli // 0) as $needed
      | if $e.read < $p.holdout.count then false
        else verdict($d.rule | rule; $needed; $e.read; $e.delta; $e.squared; $e.hits) end
      | need(. == $d.accepted; "decision: \($d.rule.name | strings) gives \(.), not \($d.accepted)") end);

.predicate as $p | .predicateType as $type | .subject as $subject
| ($type | if type == "string" and length < 80 then . else "-" end),
  ($p | task | if is_name then . else "-" end),
  ($p.base | version), ($p.result | version),
  ($p.slots // 1 | number), ($p.madeAt | number), ($p.madeBy | hash),
  ($p | .root.keyid // .successor.keyid // .revoked | hash), ($p.retired | hash),
  ($p.data // null | if . then
    {task: $p.task, metric: $p.metric, holdout: .holdout, reserved: $p.reservedMicrojoules,
      rule: ($p.rule | rule)} else . end | tojson),
  need(($p.task == null) or ($p | task | is_name); "is about a task of no such name"),
  ($p | .root // .successor // empty | need(.ed25519 == $ed25519; "brings another key than its id says")),
  ($p | .root.keyid // .successor.keyid // .revoked // empty | . as $key
    | need([$subject[].digest.sha256] == [$key]; "its subject is not the key that it is about")),
  need(($type | tostring | endswith("/intent/v2") | not) or ($p.task.id | endswith("_\($index)"));
    "its id does not end in its place"),
  need($p.sequence == $index; "its sequence number is not its place"),
  need($p.prev == $prev; "prev is not the entry before it"),
  need($raw | whole; "holds a number that is no integer"),
  if $type | IN("https://cryoflux.dev/receipt/v1", "https://cryoflux.dev/receipt/v2")
  then receipt($p; $type | endswith("2")) else empty end
'

read_entry() { # sets the facts of the entry in file $entry, at place $n, and names what is wrong with it
  type=- task=- base=- result=- slots=1 made_at=- made_by=- key=- retired=- intention=null
  announced=null ed25519=-
  [ ! -f "$t/open/$intent" ] || announced=$(cat "$t/open/$intent")
  [ ! -f "keys/$keys.pem" ] || ed25519=$(der "keys/$keys.pem" | tail -c 32 | base64)
  jq -r --argjson index "$n" --arg prev "$prev" --argjson announced "$announced" --arg ed25519 "$ed25519" \
    --rawfile raw "$t/payload" "$reading" "$t/payload" > "$t/said" 2> /dev/null ||
    fail "$entry" "what it says cannot be read"
  {
    read -r type && read -r task && read -r base && read -r result && read -r slots && read -r made_at &&
      read -r made_by && read -r key && read -r retired && read -r intention || type=-
    while read -r complaint; do fail "$entry" "$complaint"; done
  } < "$t/said"
}

# ---- One entry after the other ----------------------------------------------------------------------------
# $t/open/HASH: an attempt that was announced and has no receipt. $t/head/TASK: the head of a task, by digest
# and digest of its SHA256SUMS. $t/made/INDEX: the version that an entry made, which a head may move to later;
# of a fork one file a task. $t/leaf/INDEX: the hash of that entry.

mkdir "$t/open" "$t/head" "$t/made" "$t/leaf"
: > "$t/tile.entries"
n=0 receipts=0 attempts=0 accounted=0 prev=$(printf %064d 0)
reigns=$first current=$first root_key=none # the receipt keys so far, the valid one, and who may name another
in_toto=application/vnd.in-toto+json
keep() { printf '%s\n' "$2" > "$t/$1"; }
known() { [ -f "$t/$1" ] && cat "$t/$1"; }
follows() { # the base of an entry is the head of its task
  [ "$(known "head/$task" || echo "$base")" = "$base" ] ||
    fail "$entry" "its base is not the head of its task before it"
}

while entry=entries/$(printf %06d $n).json && [ -f "$entry" ]; do
  # The envelope: one spelling, one signature, standard base64 with nothing left over.
  jq -r '.payload, .signatures[0].sig, .signatures[0].keyid,
    (.payload | @base64d | fromjson | .predicate
      | .intent // "-", .root.keyid // .successor.keyid // "-")' "$entry" > "$t/envelope" 2> /dev/null ||
    fail "$entry" "is no envelope"
  payload= sig= keyid= intent=- keys=-
  { read -r payload && read -r sig && read -r keyid && read -r intent && read -r keys; } < "$t/envelope"
  case $intent in "" | *[!0-9a-f]*) intent=- ;; esac
  case $keys in "" | *[!0-9a-f]*) keys=- ;; esac
  printf %s "$payload" | base64 -d > "$t/payload" 2> /dev/null
  printf %s "$sig" | base64 -d > "$t/sig" 2> /dev/null
  [ "$(base64 -w 0 < "$t/payload") $(base64 -w 0 < "$t/sig")" = "$payload $sig" ] ||
    fail "$entry" "has base64 in a spelling of its own"
  printf '{"payload":"%s","payloadType":"%s","signatures":[{"keyid":"%s","sig":"%s"}]}' \
    "$payload" "$in_toto" "$keyid" "$sig" > "$t/again"
  same "$t/again" "$entry" || fail "$entry" "is not an envelope with one signature, in its one spelling"

  # The statement: canonical JSON. A name given twice, white space or another order do not come back.
  jq -cSj . "$t/payload" > "$t/again" 2> /dev/null
  same "$t/again" "$t/payload" || fail "$entry" "is not canonical JSON"
  read_entry

  # What it changes, and whose signature it needs.
  signer=$current
  case $type in
  https://cryoflux.dev/intent/v[12])
    follows
    attempts=$((attempts + 1))
    [ -f "$t/head/$task" ] || keep "made/$n" "$task $base"
    keep "head/$task" "$base"
    set -- "$t"/open/*
    [ ! -f "$1" ] || [ $# -lt "$slots" ] 2> /dev/null || fail "$entry" "an attempt before it has no receipt"
    ;;
  https://cryoflux.dev/receipt/v[12])
    follows
    [ "${type##*/}" != v1 ] || [ "$intent" = "$prev" ] || fail "$entry" "does not come right after its intent"
    rm -f "$t/open/$intent"
    [ "$result" = "$base" ] || keep "made/$n" "$task $result"
    keep "head/$task" "$result"
    receipts=$((receipts + 1))
    ;;
  https://cryoflux.dev/head/v1)
    follows
    made=$(known "made/$made_at" || known "made/$made_at.$task")
    [ "$(known "leaf/$made_at") $made" = "$made_by $task $result" ] ||
      fail "$entry" "moves a head to a version that the entry it names did not make"
    keep "head/$task" "$result"
    ;;
  https://cryoflux.dev/session/v1)
    jq -r '.predicate | "\(.firstAttempt) \(.firstAttempt + .attempts - 1) \(.openedAt) \(.id)"' \
      "$t/payload" > "$t/session" 2> /dev/null
    from=0 to=- opened=- name=-
    read -r from to opened name < "$t/session"
    { [ "$to" = "$attempts" ] && [ "$from" -gt "$accounted" ]; } 2> /dev/null ||
      fail "$entry" "does not count the attempts since the session before it"
    case $name in session/*_"$opened") ;; *) fail "$entry" "its id does not end in its place" ;; esac
    accounted=$attempts
    ;;
  https://cryoflux.dev/fork/v1)
    [ "$n" = 0 ] || fail "$entry" "goes on from another log, which only the first entry can"
    jq -r '.predicate.tasks[] | "\(.task) \(.head.digest) \(.head.files)"' "$t/payload" > "$t/tasks" 2> /dev/null ||
      fail "$entry" "what it goes on from cannot be read"
    while read -r task result; do
      case $task in "" | *[!a-z0-9_-]*) fail "$entry" "is about a task of no such name" && continue ;; esac
      keep "head/$task" "$result"
      keep "made/$n.$task" "$task $result"
    done < "$t/tasks"
    ;;
  https://cryoflux.dev/key-root/v1)
    [ $root_key = none ] || fail "$entry" "names a root key, but the log has one"
    [ "$key" != "$current" ] || fail "$entry" "names the receipt key as the root key"
    root_key=$key
    ;;
  https://cryoflux.dev/key-rotation/v1)
    [ "$retired" = "${reigns##* }" ] || fail "$entry" "retires a key that is not the last one"
    case "$reigns $root_key" in *$key*) fail "$entry" "names a key again" ;; esac
    signer=$root_key current=$key reigns="$reigns $key"
    ;;
  https://cryoflux.dev/key-revocation/v1)
    case $reigns in *$key*) ;; *) fail "$entry" "revokes a key that never signed here" ;; esac
    signer=$root_key
    [ "$key" != "$current" ] || current=none
    ;;
  *) fail "$entry" "is of a type that this script does not know" ;;
  esac

  # The signature, over type and payload (DSSE), by the key that is valid at this place.
  { printf 'DSSEv1 %d %s %d ' ${#in_toto} $in_toto "$(wc -c < "$t/payload")" && cat "$t/payload"; } > "$t/pae"
  [ "$keyid" = "$signer" ] && signed "keys/$signer.pem" "$t/pae" "$t/sig" ||
    fail "$entry" "is not signed by the valid key $signer"

  # Its place in the tree.
  prev=$({ printf '\000' && cat "$entry"; } | sum)
  keep "leaf/$n" "$prev"
  [ "$intention" = null ] || keep "open/$prev" "$intention"
  { printf %04x "$(wc -c < "$entry")" | unhex && cat "$entry"; } >> "$t/tile.entries"
  n=$((n + 1))
  grow 0 "$prev"
  [ $((n % 256)) != 0 ] || check_tile entries "$n"
done
[ $((n % 256)) = 0 ] || check_tile entries "$n"
finish_tree

# ---- Nothing is beside the log ----------------------------------------------------------------------------
set -- entries/*
[ -e "$1" ] || shift
[ $# = "$n" ] || fail entries "holds $# files, of which $n are entries in a row"
for f in keys/*.pem; do
  f=${f#keys/}
  case "$reigns $root_key" in *${f%.pem}*) ;; *) fail "keys/$f" "no entry names this key" ;; esac
done
for f in "$t"/head/*; do
  [ ! -f "$f" ] || printf '%s %s\n' "${f##*/}" "$(cat "$f")"
done > "$t/heads"
same "$t/heads" heads.txt || fail heads.txt "is not where the log leaves the heads of its tasks"

# ---- The checkpoint ---------------------------------------------------------------------------------------
# A C2SP signed note: origin, number of entries, root, an empty line, and the signature of the log's key. That
# line carries the key's name, which is the origin, and four bytes that tell it from another of this name.
# Lines after it are cosignatures of witnesses, for whoever knows the key of one.
printf '%s\n%d\n%s\n' "$origin" "$n" "$(printf %s "$root" | unhex | base64)" > "$t/body"
head -n 3 log/checkpoint > "$t/note" 2> /dev/null
same "$t/body" "$t/note" ||
  fail log/checkpoint "is over another number or order of entries: $n are here, with root $root"
line=$(head -n 5 log/checkpoint 2> /dev/null | tail -n 1)
printf %s "${line##* }" | base64 -d 2> /dev/null | tail -c 64 > "$t/sig"
signed keys/log.pub "$t/note" "$t/sig" || fail log/checkpoint "is not signed by keys/log.pub"
{ printf '%s\n\001' "$origin" && der keys/log.pub | tail -c 32; } | sum | cut -c 1-8 | unhex > "$t/hash"
{
  cat "$t/body"
  printf '\n\342\200\224 %s %s\n' "$origin" "$(cat "$t/hash" "$t/sig" | base64 -w 0)"
} > "$t/again"
head -n 5 log/checkpoint > "$t/note" 2> /dev/null
same "$t/again" "$t/note" || fail log/checkpoint "has a signature line that is not the one of keys/log.pub"

# ---- Artefacts, where there are some ----------------------------------------------------------------------
# Each lies in a folder that is called by its digest, and an entry names that digest. The folder of a model is
# called by the digest of its tensors; the entries name it together with the digest of its SHA256SUMS.
[ "$n" = 0 ] || jq -r '.payload | @base64d | fromjson | .. | strings, (objects | "\(.digest?) \(.files?)")' \
  entries/*.json > "$t/named" 2> /dev/null
names() { # whether an entry names $1
  [ -f "$t/named" ] || return 1
  while read -r text; do [ "$text" != "$1" ] || return 0; done < "$t/named"
  return 1
}
for f in artefacts/*/*; do
  [ -e "$f" ] || continue
  digest=$(sum < "$f")
  case $f in artefacts/$digest/*) names "$digest" ;; *) false ;; esac || fail "$f" "no entry names these bytes"
done
for model in models/*; do
  [ -e "$model" ] || continue
  names "${model#models/} $(sum < "$model/SHA256SUMS")" || fail "$model/SHA256SUMS" "no entry names these bytes"
  (cd "$model" && sha256sum -c SHA256SUMS) > /dev/null 2>&1 || fail "$model" "has a file that was changed"
  set -- "$model"/*
  [ $# = $(($(wc -l < "$model/SHA256SUMS") + 1)) ] || fail "$model" "has other files than its SHA256SUMS"
done

# ---- The verdict ------------------------------------------------------------------------------------------
if [ $bad != 0 ]; then
  echo "NOT VERIFIED: $bad checks failed"
  exit 1
fi
echo "VERIFIED $n entries, $receipts receipts: bytes, signatures, order, tree, arithmetic, decisions, heads."
echo "First key: $first"
while read -r task head _; do echo "Head of $task: $head"; done < heads.txt
echo "Not checked here: bars of evidence, screens, early stops, arms; losses against the model; fields that no"
echo "check needs; what a fork says of the log before it; cosignatures of witnesses; joules."
