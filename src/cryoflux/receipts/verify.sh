#!/bin/sh
# Checks a bundle: bytes, form, signatures, order, tree, arithmetic and decisions of its log.
#
#   sh verify.sh [FOLDER] [KEYID]      FOLDER is the bundle; without it, where this script lies.
#                                      KEYID is the id of the log's first key, as its owner told you.
#
# It needs openssl (3 or newer), jq (1.6 or newer), sha256sum, xxd and what every system has; no CryoFlux, no
# Python, no network. It changes nothing. Exit code 0: everything holds. 1: something does not, and is named.
# Take it from where its digest is published, not from whom you audit: cryoflux receipts verify-script.
# README.txt says what each file is, which bytes do not matter, and what a passed check does not show.
set -u
export LC_ALL=C
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
here=$(cd "$here" && pwd) || exit 2
folder=$here
if [ $# -gt 0 ] && [ -d "$1" ]; then folder=$1 && shift; fi
cd "$folder" || exit 2
t=$(mktemp -d) || exit 2 # what is known so far lies here as small files
trap 'rm -rf "$t"' EXIT

bad=0
fail() { # $1: where, $2: what is wrong
  printf 'FAILED %s: %s\n' "$1" "$2"
  bad=$((bad + 1))
}
counted() { [ "$1" = 1 ] && echo "1 $2" || echo "$1 $3"; } # $1: how many, $2: word for one, $3: for more
sum() { sha256sum | cut -c 1-64; }
unhex() { xxd -r -p; }
same() { [ -f "$2" ] && [ "$(sum < "$1")" = "$(sum < "$2")" ]; } # two files, byte for byte

# ---- Keys -------------------------------------------------------------------------------------------------
# A key is called by its id: the SHA-256 of its DER form. A key file has to be, byte for byte, what openssl
# writes: a PEM has many spellings, and text around it that nobody reads. It has to be Ed25519, and no point
# of small order, under which anybody can sign; openssl takes those. Keys of mixed order cannot be told here.

weak() { # the 32 bytes $1, in hexadecimal, are of small order or in a spelling of their own (y >= p, or -0)
  case $1 in
  # y is 1, 0 or -1, whatever the sign; then the two y of the points of order 8
  0[01]000000000000000000000000000000000000000000000000000000000000[08]0) true ;;
  ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff[7f]f) true ;;
  c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03[7f]a) true ;;
  26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc[08]5) true ;;
  # y from p = 2^255 - 19 on
  e[def]ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff[7f]f) true ;;
  f?ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff[7f]f) true ;;
  *) false ;;
  esac
}
der() { openssl pkey -pubin -in "$1" -outform DER 2> /dev/null; }
keyid() { der "$1" | sum; }
signed() { # key file $1 has signed file $2 with the signature in file $3, whose first half is no weak point
  ! weak "$(xxd -p -c 32 -l 32 "$3")" &&
    openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3" > /dev/null 2>&1
}
check_key() { # a key file
  [ -f "$1" ] || { fail "$1" "is missing, or no file" && return; }
  openssl pkey -pubin -in "$1" > "$t/pem" 2> /dev/null && same "$t/pem" "$1" ||
    fail "$1" "is no public key in PEM, as openssl writes it"
  case $(der "$1" | xxd -p -c 64) in
  302a300506032b6570032100*) ;;
  *) fail "$1" "is no Ed25519 key" ;;
  esac
  ! weak "$(der "$1" | tail -c 32 | xxd -p -c 32)" ||
    fail "$1" "is a key under which anybody can sign, or nobody"
}

check_key keys/receipt.pub
check_key keys/log.pub
first=$(keyid keys/receipt.pub)
log_key=$(keyid keys/log.pub)
origin=cryoflux.dev/$(printf %.16s "$first")
[ "${1:-$first}" = "$first" ] || fail keys/receipt.pub "is key $first, and not the one that you were told"
for f in keys/*.pem; do
  check_key "$f"
  [ "keys/$(keyid "$f").pem" = "$f" ] || fail "$f" "is another key than its name says"
done

# ---- The form ---------------------------------------------------------------------------------------------
# Which fields there are, of which kind, is said by the JSON Schema that this script was written for: the file
# of this digest, beside the script or in the bundle.

schema_digest=ad8ef3ded91e5a5e105b4ad4054c6dcfecef7fcb11fd9d1b14147f110187d89f
schema=
for f in "$here/receipt.schema.json" receipt.schema.json; do
  [ -f "$f" ] && [ "$(sum < "$f")" = $schema_digest ] && schema=$f && break
done
[ "$schema" ] || {
  fail receipt.schema.json "is not the one that this script was written for ($schema_digest)"
  printf '{}' > "$t/schema"
  schema=$t/schema
}

# ---- The tree ---------------------------------------------------------------------------------------------
# RFC 6962: a leaf is SHA-256(0x00 and the entry), a node is SHA-256(0x01 and the two below it). The files in
# log/tile are C2SP tlog-tiles: 256 hashes each, of level 0 the leaves, of level 1 the roots of 256 leaves,
# and so on; log/tile/entries holds the entries, each after its length. All of them follow from the entries,
# so they are made again here and compared.

place() { # the file of level $1 in which hash (or entry) number $2, counted from 1, is the last
  tile=$((($2 - 1) / 256))
  path=$(printf %03d $((tile % 1000)))
  while [ $((tile /= 1000)) -gt 0 ]; do path=$(printf x%03d/%s $((tile % 1000)) "$path"); done
  printf log/tile/%s/%s "$1" "$path"
  [ $(($2 % 256)) = 0 ] || printf .p/%d $(($2 % 256))
}
check_tile() { # file $3 is the last tile of level $1, which has $2 hashes (or entries) so far
  published=$(place "$1" "$2")
  same "$3" "$published" || fail "$published" "is not what the entries give"
}
in_pieces() { # standard input as files of $1 bytes in the folder $t/pieces
  rm -rf "$t/pieces"
  mkdir "$t/pieces"
  (cd "$t/pieces" && split -b "$1" -a 5)
}
check_tree() { # of $1 leaf hashes, one a line in $t/nodes: compares the tiles; the root is in $root then
  height=0 count=$1 root=$(: | sum)
  [ "$1" != 0 ] || return 0
  while :; do # $t/nodes: the roots of all subtrees of 2^height leaves; the last one may have fewer
    whole=$(($1 >> height))
    if [ $((height % 8)) = 0 ] && [ $whole != 0 ]; then
      head -n $whole "$t/nodes" | unhex | in_pieces 8192
      last=0
      for f in "$t"/pieces/*; do
        last=$((last + 256))
        check_tile $((height / 8)) $((last < whole ? last : whole)) "$f"
      done
    fi
    [ "$count" != 1 ] || break
    head -n $((count / 2 * 2)) "$t/nodes" | sed 'N;s/^/01/;s/\n//' | unhex | in_pieces 65
    (cd "$t/pieces" && ls | xargs sha256sum) | cut -c 1-64 > "$t/above"
    [ $((count % 2)) = 0 ] || tail -n 1 "$t/nodes" >> "$t/above"
    cat "$t/above" > "$t/nodes"
    count=$(((count + 1) / 2)) height=$((height + 1))
  done
  root=$(cat "$t/nodes")
}

# ---- What an entry says -----------------------------------------------------------------------------------
# One program for jq, which goes through the log once. Of each entry it is given the leaf hash and the bytes
# (base64), and it keeps in mind what the log has come to. It answers with lines: F names what is wrong, E has
# payload, signature and signer of an entry whose form holds, K a key that an entry brings, C the checkpoint
# of a parent and its digest, D and Z what has to be hashed, L the log key that the first entry vouches for, H
# the head of a task in the end. The first form of intents and receipts is said in the words of the second.

# Text comes out of base64 only in its one spelling, and only if it is UTF-8.
bytes='
def unpacked: . as $packed | try (@base64d | if @base64 == $packed then . else null end) catch null;
'
reading='
def need(ok; what): if ok then empty else what end;
def plain: .[:60] | explode | map(if . >= 32 and . < 127 then . else 63 end) | implode;

# Text. RFC 8785 orders names by UTF-16 and escapes nothing that need not be; jq orders them by code point, and
# escapes 127. What is read and written again has to be the same: no name twice, no white space, no 1.0, no
# 1e3, no -0.
def parsed: try fromjson catch null;
def utf16: explode
  | map(if . < 65536 then . else 55296 + ((. - 65536) / 1024 | floor), 56320 + (. - 65536) % 1024 end);
def text: "\"\([split("\u007f")[] | tojson[1:-1]] | join("\u007f"))\"";
def canonical:
  if type == "object" then . as $all | "{\([keys_unsorted | sort_by(utf16)[]
    | "\(text):\(. as $name | $all[$name] | canonical)"] | join(","))}"
  elif type == "array" then "[\([.[] | canonical] | join(","))]"
  elif type == "string" then text
  elif type == "number" then . + 0 | tojson
  else tojson end;

# Form: what is wrong with a value by a part of the schema; $at is its place, in words. Texts have no line
# feed where they have a pattern: there "$" alone would also stand before the last one.
def is_named($pattern): # a name; jq takes ^ and $ for the ends of any line
  if $pattern | startswith("^[\\s\\S]{0,") then length <= ($pattern[10:-2] | tonumber)
  else (contains("\n") | not) and test($pattern) end;
def fits($s; $at):
  . as $it | type as $type
  | (if $s["$ref"] then fits($schema[0]["$defs"][$s["$ref"][8:]]; $at) else empty end),
    (($s.allOf // [])[] as $one | fits($one; $at)),
    (if $s.type then need(({integer: "number"}[$s.type] // $s.type) == $type; "\($at) is no \($s.type)")
      else empty end),
    (if $s.enum then need(any($s.enum[]; . == $it); "\($at) is no word that is known here") else empty end),
    (if $s.not then need(any($s.not.enum[]; . == $it) | not; "\($at) says what it says where it is left out")
      else empty end),
    (if $s.anyOf then need(any($s.anyOf[]; . as $one | [$it | fits($one; "")] == []);
      "\($at) is nothing that it may be") else empty end),
    if $type == "string" then
      (if $s.maxLength then need(length <= $s.maxLength; "\($at) is too long") else empty end),
      (if $s.pattern then need((contains("\n") | not) and test($s.pattern); "\($at) has another pattern")
        else empty end)
    elif $type == "number" then
      need(. == floor and . >= ($s.minimum // .) and . <= ($s.maximum // .); "\($at) is out of its range")
    elif $type == "array" then
      need(length >= ($s.minItems // 0) and length <= ($s.maxItems // length); "\($at) has another length"),
      (range(length) as $i | .[$i] | fits($s.items // {}; "\($at)[\($i)]"))
    elif $type == "object" then
      need(length <= ($s.maxProperties // length); "\($at) has too many fields"),
      (($s.required // [])[] as $name | need(has($name); "\($at) lacks \($name)")),
      (to_entries[] | .key as $name | ($name | plain) as $said
        | ([($s.patternProperties // {}) | to_entries[] | select(.key as $p | $name | is_named($p))][0]) as $fit
        | if $s.properties[$name]? then .value | fits($s.properties[$name]; "\($at).\($said)")
          elif $fit then .value | fits($fit.value; "\($at).\($said)")
          elif ($s.additionalProperties | type) == "object" then
            .value | fits($s.additionalProperties; "\($at).\($said)")
          elif $s.additionalProperties == false then "\($at) has the unknown field \($said)"
          else empty end)
    else empty end;
def kinds: ($schema[0]["$defs"] // {}) | to_entries
  | map({key: .value.properties.predicateType.enum[0]?, value: .key} | select(.key)) | from_entries;
def is_signature: length == 88 and test("^[A-Za-z0-9+/]{85}[AQgw]==$");

# An entry, read: its envelope and statement, or what is wrong with its form.
def read($kinds):
  unpacked as $text | ($text // "" | parsed) as $envelope
  | if $envelope == null then {wrong: ["is no envelope, or no UTF-8"]}
    elif ($envelope | canonical) != $text then {wrong: ["is not an envelope in its one spelling"]} else
      [$envelope | fits($schema[0]["$defs"].EnvelopeDocument // {}; "its envelope")] as $wrong
      | if $wrong != [] then {$wrong}
        elif $envelope.payloadType != $in_toto then {wrong: ["holds a payload of another type"]}
        elif $envelope.signatures[0].sig | is_signature | not then
          {wrong: ["has base64 in a spelling of its own, or a signature of another length"]} else
          ($envelope.payload | unpacked) as $payload | ($payload // "" | parsed) as $said
          | ($said | .predicateType? // "" | tostring) as $type
          | if $payload == null then {wrong: ["has base64 in a spelling of its own, or no UTF-8 in it"]}
            elif $said == null then {wrong: ["says nothing in JSON"]}
            elif ($said | canonical) != $payload then {wrong: ["is not canonical JSON"]}
            elif $kinds[$type] == null then {wrong: ["is of a type that this script does not know"]}
            else {$envelope, $said,
              wrong: [$said | fits($schema[0]["$defs"][$kinds[$type]]; "its statement")]}
            end end end;

# Integers of any length, as lists of numbers below 10^6, lowest first.
def abs: if . < 0 then -. else . end;
def digits: tostring | [while(. != ""; .[:-6]) | .[-6:] | tonumber];
def carried: reduce .[] as $d ([[], 0]; ($d + .[1]) as $s | ($s / 1000000 | floor) as $up
    | [.[0] + [$s - $up * 1000000], $up])
  | .[0] + (.[1] | [while(. > 0; . / 1000000 | floor) | . % 1000000])
  | until(. == [] or .[-1] != 0; .[:-1]);
def times($a; $b): [range(($a | length) + ($b | length)) as $k
  | [range($a | length) as $i | select($k >= $i and $k - $i < ($b | length)) | $a[$i] * $b[$k - $i]]
  | add // 0] | carried;
def plus($a; $b): [range([$a, $b | length] | max) as $i | ($a[$i] // 0) + ($b[$i] // 0)] | carried;
def minus($a; $number): ($number | abs | digits) as $b # where that is not below zero
  | (if $number < 0 then -1 else 1 end) as $sign
  | [range([$a, $b | length] | max) as $i | ($a[$i] // 0) - $sign * ($b[$i] // 0)] | carried;
def above($a; $b): ($a | [length, reverse]) > ($b | [length, reverse]);
def square: abs | digits | times(.; .);
def product($factors): reduce ($factors[] | digits) as $f ([1]; times(.; $f)); # none is below zero

# The words of the second form.
def metric: .metric // {name: "cross-entropy", unit: "nats"};
def hits: if .baseCorrect then {base: .baseCorrect, new: .newCorrect, gained, lost} else .hits end;
def rule: {name, minDelta: (.minDelta // .minDeltaNanoNat), minAccuracyGainPpm, zMilli,
  alphaPpm: (.alphaPpm // 0), screen: (.screen // "")};
def bar($rule): . // $rule | {looks: (.looks // 0), kept: (.kept // 0), neededMilli: (.neededMilli // 0)};
def sums($count): {
  n: $count, hits: hits,
  base: (.baseLossSum // .baseLossNanoNatSum), new: (.newLossSum // .newLossNanoNatSum),
  squared: (.deltaSquaredSum // .deltaSquaredNanoNatSum)} | .delta = .base - .new;
def announced: {task, data, base, metric: metric, rule: (.rule | rule), bar: (.rule as $r | .bar | bar($r)),
  reserved: .reservedMicrojoules, slots: (.slots // 1)};

# Whether sums $e can be those of losses, and whether a rule keeps what has them.
def possible($e; $what):
  need(above($e.delta | square; times($e.n | digits; $e.squared | digits)) | not;
    "\($what): Σδ² is too small for Σδ"),
  need(above($e.squared | digits | carried; plus($e.base | square; $e.new | square)) | not;
    "\($what): Σδ² is too large for losses with these sums"),
  need(($e.squared[-1:] | tonumber) % 2 == ($e.delta % 2 | abs);
    "\($what): Σδ² and Σδ are not both even or both odd"),
  ($e.hits | select(.) | need(.new - .base == .gained - .lost and .new <= $e.n and .base <= $e.n
    and .gained + .lost <= $e.n and .gained <= .new and .gained <= $e.n - .base and .lost <= .base;
    "\($what): hits do not add up"));
# The verdict of a rule, with the code and the numbers of its reason; none of a rule that is not known here.
# Numbers of JSON are exact up to 2^53; what may be more is compared as lists.
def numbers($e; $unit): {count: $e.n, delta: $e.delta, squared: $e.squared}
  + (if $e.hits then $e.hits | {gain: (.new - .base), gained, lost} else {} end)
  + (if $unit == "nats" then {} else {$unit} end);
def verdict($r; $needed; $e; $unit):
  $e.n as $n | $e.delta as $s | $e.hits as $h | times($n | digits; $e.squared | digits) as $nv
  | ($s >= 0 and (above(product([$r.minDelta, $n]); product([$s])) | not)) as $large
  | ($h != null and $h.new >= $h.base
    and (above(product([$r.minAccuracyGainPpm, $n]); product([$h.new - $h.base, 1000000])) | not)) as $right
  | (if $h then [0, $h.gained - $h.lost] | max else 0 end) as $gain
  | (if $h then $h.gained + $h.lost else 0 end) as $changed
  # Whether the mean lies more than z/1000 standard errors from another, which makes $far for all examples.
  | def beyond($far; $z): above(plus(times(times($far; $far); product([$n - 1, 1000000]));
      times($s | square; product([$z, $z]))); times(product([$z, $z]); $nv));
  def because($kept; $code; $names): {$kept, $code, numbers: (numbers($e; $unit)
    + ({min_delta: $r.minDelta, min_gain_ppm: $r.minAccuracyGainPpm, needed_milli: $needed,
        z_milli: $r.zMilli} | with_entries(select(.key as $key | any($names[]; . == $key)))))};
  def too_small: if $s < 0 then because(false; "loss-went-up"; [])
    else because(false; "below-smallest"; ["min_delta"]) end;
  if $r.name == "whitepaper/v1" then
    if $large then because(true; "whitepaper.delta"; ["min_delta"])
    elif $right then because(true; "whitepaper.accuracy"; ["min_gain_ppm"])
    else because(false; "whitepaper.neither"; []) end
  elif $r.name == "evidence/v1" then
    if $large and $s > 0 and beyond(product([$s]); $r.zMilli)
    then because(true; "z.delta"; ["min_delta", "z_milli"])
    elif $right and $s >= 0 and above(product([$gain, $gain, 1000000]);
      product([$r.zMilli, $r.zMilli, $changed])) then because(true; "z.accuracy"; ["z_milli"])
    elif $s < 0 or ($large | not) then too_small
    else because(false; "z.noise"; ["z_milli"]) end
  elif $r.name == "evidence/v2" and $needed >= 1 then
    if $large and $s > 0 and above(product([$s, $s, 1000]); times($needed | digits; $e.squared | digits))
    then because(true; "evidence.delta"; ["min_delta", "needed_milli"])
    elif $right and $s >= 0 and above(product([$gain, $gain, 1000]); product([$needed, $changed]))
    then because(true; "evidence.accuracy"; ["needed_milli"])
    elif $large or (beyond(minus(product([$r.minDelta, $n]); $s); 1960) | not)
    then because(false; "evidence.undecided"; ["min_delta", "needed_milli"])
    else too_small end
  elif $r.name == "evidence/v3" and $needed >= 1 then
    if $large and $s > 0 and above(product([$s, $s, 1000]); times($needed | digits; $e.squared | digits))
    then because(true; "staked.delta"; ["min_delta", "needed_milli"])
    elif $large or (beyond(minus(product([$r.minDelta, $n]); $s); 1960) | not)
    then because(false; "staked.missed"; ["min_delta", "needed_milli"])
    else too_small end
  elif $r.name == "no-worse/v1" then
    product([$r.minDelta, $n]) as $margin
    | (if $s < 0 then above($margin; product([$s | abs])) else $s > 0 or $r.minDelta > 0 end) as $ahead
    | if $ahead and beyond(minus($margin; 0 - $s); $r.zMilli)
    then because(true; "no-worse.shown"; ["min_delta", "z_milli"])
    else because(false; "no-worse.not-shown"; ["min_delta", "z_milli"]) end
  else null end;
def budgeted: . == "evidence/v2" or . == "evidence/v3"; # of the name of a rule
# After how many of $count examples a hopeless candidate may be put down: each 1.4 times more, by 32.
def looks($count): [(($count + 511) / 512 | floor)
  | while(. * 32 <= $count - 32; (. * 7 + 4) / 5 | floor) | . * 32];

# What is wrong with an entry, after a log that has come to $log.
def of_key: .root.keyid // .successor.keyid // .revoked;
def badness: {"counter": 0, "power-integrated": 1, "modelled": 2}[.]; # of a tier
def energy: need(.loMicrojoules <= .microjoules and .microjoules <= .hiMicrojoules;
  "energy interval is out of order"), need(.microjoules >= 0 and .loMicrojoules >= 0; "gave energy back"),
  (.phases | select(.) # none of them is negative, so that a sum which is no longer exact is too large
    | need((map(.name) | unique | length) == length; "tells a phase twice"),
      need(all(.[]; .loMicrojoules <= .microjoules and .microjoules <= .hiMicrojoules);
        "interval of a phase is out of order")),
  need(.phases == null or (. as $all | all("microjoules", "loMicrojoules", "hiMicrojoules";
    . as $of | [$all.phases[][$of]] | add == $all[$of])); "phases do not add up to its joules"),
  (. as $all | .parts | select(.)
    | need(map(.worker) | .[0] == "" and . == unique;
        "has parts that are not its coordinator’s and then those of workers by name, each once"),
      need(all(.[]; .loMicrojoules <= .microjoules and .microjoules <= .hiMicrojoules);
        "interval of a part is out of order"),
      need(all(.[]; .microjoules >= 0 and .loMicrojoules >= 0); "a part of it gave energy back"),
      need(. as $parts | all("microjoules", "loMicrojoules", "hiMicrojoules", "reservedMicrojoules",
        "cpuMicroseconds"; . as $of | [$parts[][$of]] | add == $all[$of]);
        "parts do not add up to its joules, reservation or CPU time"),
      need(([.[].tier | badness] | max) == ($all.tier | badness)
        and ([.[].sources[]] | unique) == $all.sources and ([.[].flags[]] | unique) == $all.flags
        and [.[0].baseline, .[0].curve, ""] == [$all.baseline, $all.curve, $all.settlement // ""];
        "says something else than its parts"));
# Of joules: a worker whose meter did not tell to its end, of an attempt where it may be that nobody heard it.
def told($unheard): (.parts // [. + {worker: ""}])[]
  | (.flags | any(. == "worker-lost")) as $lost | (.settlement // "") as $word
  | select($lost or (.flags | any(. == "so-far")))
  | need($unheard and .worker != "" and (if $lost then $word == "" and .reservedMicrojoules > 0
      and .reservedMicrojoules <= .hiMicrojoules else $word != "" end);
      "has joules that no meter told to their end");
# What joules are called that were lent to a worker.
def as_lent: split("/") | length > 2 and .[-1] != "" and .[-2] == "lent" and (.[:-2] | join("/") != "");
def follows($log; $task): need(.base == ($log.tasks[$task].head // .base);
  "its base is not the head of its task before it");
def open_at($log; $hash): [$log.open[] | select(.leaf == $hash)][0];

def intent($log; $two):
  announced as $a | $log.tasks[.task.name] as $known | $a.data.holdout as $holdout
  | follows($log; .task.name),
    need(($two | not) or (.task.id | endswith("_\($log.n)")); "its id does not end in its place"),
    (if $known then
      need($a.metric == $known.metric; "measures something else than the first attempt of its task"),
      need(($a.data | del(.holdout)) == ($known.data | del(.holdout))
        and $holdout.count == ($known.holdouts[$holdout.sha256].count // $holdout.count);
        "uses another data set than the first attempt of its task") else empty end),
    ($known.holdouts[$holdout.sha256] // {uses: 0, looks: 0, kept: 0}
      | need($holdout.useIndex == .uses + 1; "is use \(.uses + 1) of its holdout, and says otherwise"),
        need(($a.rule.name | budgeted | not) or ([$a.bar.looks, $a.bar.kept] == [.looks, .kept]);
          "counts the looks at its holdout otherwise than the log"));

# Whether an attempt left something that the next one of its chain can go on from.
def goes_on: (.training.working? // "") != "";
# What is wrong with the reason of a receipt $p: in the second form it is a code with the numbers it is about.
def reason($p; $two; $code; $numbers):
  need(($p.outcome == "undecided") == (($code == "evidence.undecided" or $code == "staked.missed")
    and ($p | goes_on | not)); "is \($p.outcome), though it is \($code)"),
  need(($two | not) or ({numbers: {}} + $p.reason) == {$code, $numbers};
    "its reason is not the one of its rule, which is \($code)");
def by_screen($p; $two; $r; $unit):
  ($p.training.screen | sums(.count)) as $s
  | if above(product([$r.minDelta, $s.n]); product([[0, $s.delta] | max])) or $s.delta < 0
    then {code: "screen.below-smallest", more: {min_delta: $r.minDelta}}
    else {code: "screen.not-worth-a-look", more: {z_milli: $p.reason.numbers?.z_milli}} end
  | reason($p; $two; .code; numbers($s; $unit) + .more);

def receipt($log; $two):
  . as $p | (if .evaluation then .evaluation
      | sums(.read // (if (.examples // 0) > 0 then .examples else $p.holdout.count end))
    else null end) as $e
  | .decision as $d | ($d | if . then .rule | rule else null end) as $r
  | ($d | if . then .rule as $old | .bar | bar($old) else null end) as $bar
  | open_at($log; .intent) as $opened | ($opened.metric.unit // "nats") as $unit
  | ($log.tasks[.task.name].holdouts[.holdout.sha256] // {looks: 0, kept: 0}) as $tally
  | follows($log; .task.name),
    need(($p.outcome == "accepted") == ($d != null and $d.accepted); "outcome and decision disagree"),
    need(($p.outcome == "carried") == ($d != null and ($d.accepted | not) and ($p | goes_on));
      "is \($p.outcome), and its chain says otherwise"),
    need(($p.outcome == "aborted") == ($d == null) and ($d != null or $e == null);
      "was aborted with a decision, or ended without one"),
    need(($two | not) or (($p.cause != null) == ($p.outcome == "aborted"));
      "a cause is there for what was aborted, and for nothing else"),
    need($p.result == (if $p.outcome == "accepted" then $p.evaluation.candidate // 0 else $p.base end);
      "result is another model"),
    ($p.energy | energy, told($p.outcome == "aborted" and ($p.cause == "lost" or $p.cause == "crashed"))),
    need($p.task.id | as_lent | not; "is called as joules are that were lent to a worker"),
    (if $opened == null then "closes no attempt that is open" else
      need($two or $opened.n == $log.n - 1; "does not come right after its intent"),
      need($p.task == $opened.task; "is of another attempt than it says"),
      need($two or $p.base == $opened.base; "its base is another than was announced"),
      need($e == null or ($p.evaluation | metric) == $opened.metric;
        "measures something else than was announced"),
      need($p.holdout == $opened.data.holdout; "uses another holdout than was announced"),
      need($p.energy.reservedMicrojoules == $opened.reserved; "reserved something else than was announced"),
      need($d == null or $r == $opened.rule; "is judged by another rule than was announced"),
      ($p.training | select(.)
        | need(.sliceCount <= $opened.data.trainCount and (.freshCount // 0) <= .sliceCount;
        "trained on more examples than there are")),
      need($opened.rule.screen == "" or $d == null or $p.training.screen != null;
        "has no screen, though its rule asks for one")
    end),
    need($d == null or $p.training != null and ($e != null or $r.screen != "");
      "was judged without training or losses"),
    need($d == null or ($r.name | budgeted | not) or [$bar.looks, $bar.kept] == [$tally.looks, $tally.kept];
      "counts the looks at its holdout otherwise than the log"),
    ($p.training.screen | select(.) | sums(.count) as $s | possible($s; "screen")),
    need(($two | not) or $d != null or ($p.reason.code | split(".")[0]) == $p.cause;
      "its reason is not its cause"),
    (if $e == null then need($d == null or ($d.accepted | not); "was kept without losses"),
      (if $d != null and $r.screen == "screen/v1" and $p.training.screen != null
          and any("whitepaper/v1", "evidence/v1", "evidence/v2"; . == $r.name)
        then by_screen($p; $two; $r; $unit) else empty end) else
      need($e.delta == ($p.evaluation | .deltaSum // .deltaNanoNatSum); "Δ is not base - new"),
      need($e.n <= $p.holdout.count; "more was read than the holdout has"),
      possible($e; "holdout"),
      need($e.n >= $p.holdout.count
        or ($r == null or ($r.name | budgeted)) and any(looks($p.holdout.count)[]; . == $e.n);
        "stopped reading where no look is due"),
      ($log.tasks[$p.task.name].hits | need(. == null or . == ($e.hits != null);
        "counts right examples, or does not, unlike the first receipt of its task")),
      (if $d == null then empty else
        (if $e.n < $p.holdout.count
          then {kept: false, code: "hopeless", numbers: (numbers($e; $unit) + {total: $p.holdout.count})}
          else verdict($r; $bar.neededMilli; $e; $unit) end)
        | if . == null then "was decided by a rule that this script does not know"
          elif .kept != $d.accepted then "decision: \($r.name | plain) gives \(.kept), not \($d.accepted)"
          else reason($p; $two; .code; .numbers) end end)
    end);

# A judgement on two that were made elsewhere.
def judgement($log):
  . as $p | (.measured | sums(.count)) as $e | .decision as $d | ($d.rule | rule) as $r
  | ($d.rule as $old | $d.bar | bar($old)) as $bar
  | ($log.judged[.measured.sha256] // {looks: 0, kept: 0, alpha: $r.alphaPpm}) as $tally
  | possible($e; "holdout"),
    need($r.name == "evidence/v2"; "judges what others made by another rule than evidence/v2"),
    need((.outcome == "accepted") == $d.accepted; "outcome and decision disagree"),
    need((.kind == "losses") == (.measured.profile == "handed-over/v1");
      "names a profile of losses that were not computed so"),
    need([$bar.looks, $bar.kept] == [$tally.looks, $tally.kept];
      "counts the looks at its holdout otherwise than the log"),
    need(.energy == null or (.energy | .loMicrojoules <= .microjoules and .microjoules <= .hiMicrojoules);
      "states joules outside of their own range"),
    need(.tokens == null or (.kind == "models" and .tokens.cut <= .measured.count);
      "says that more was cut than it was judged on"),
    need(.tokens == null or ((if .measured.profile == "f32-document/v1" then .measured.count else 0 end) as $n
        | (.tokens.targets // 0) as $said | $n <= $said and $said <= $n * .tokens.most);
      "says target tokens that its documents cannot have"),
    need($r.alphaPpm <= $tally.alpha; "allows itself more error than was promised"),
    need(.measured.sha256 as $set | any($log.tasks[]; .holdouts[$set] != null) | not;
      "judges on a holdout that decides on updates, which does not count its verdicts"),
    (verdict($r; $bar.neededMilli; $e; .measured.metric.unit)
      | if . == null then "was decided by a rule that this script does not know"
        elif .kept != $d.accepted then "decision: \($r.name | plain) gives \(.kept), not \($d.accepted)"
        else need($p.outcome == (if .kept then "accepted" elif .code == "evidence.undecided" then "undecided"
            else "rejected" end); "is \($p.outcome), and its rule says otherwise"),
          reason($p; true; .code; .numbers) end);

def move($log):
  follows($log; .task),
  ($log.made["\(.madeAt)"] as $made
    | need($made != null and $made.leaf == .madeBy and $made.heads[.task] == .result;
    "moves a head to a version that the entry it names did not make")),
  (.task as $task | (.pruned // []) as $gone
    | if .move != "prune" then need($gone == []; "moves a head and frees versions in one"),
        need((.quarantined // []) == [] or .test != null;
          "quarantines training examples without a test that its head was worse"),
        need(.test == null or .move == "rollback"; "names a test as if it went back"),
        need(.test == null or (.evidence // [] | length) == 1; "names a test, and not the losses of one set")
      else
        need(.result == .base; "frees versions, and moves the head by the way"),
        need($gone != []; "frees versions, and names none"),
        need($gone | length == (map(.digest) | unique | length); "frees a version twice"),
        need((.evidence // []) == [] and .test == null;
          "frees versions, and shows losses as if it had judged them"),
        need((.quarantined // []) == []; "frees versions, and quarantines training examples by the way"),
        ($gone[] as $one
          | if $one.digest == .base.digest then "frees the version that is the head"
            else need(any($log.made[]; .heads[$task] == $one); "frees a version that this log has not made") end)
      end);

def session($log):
  need((.id | startswith("session/")) and (.openedAt as $at | .id | endswith("_\($at)"));
    "its id does not end in its place"),
  need(.openedAt >= $log.closed and .openedAt <= $log.n; "did not begin behind the session before it"),
  need(.firstAttempt > $log.accounted and .firstAttempt + .attempts - 1 == $log.attempts;
    "does not count the attempts since the session before it"),
  need(.id | as_lent | not; "is called as joules are that were lent to a worker"),
  (.energy | energy, told(true));

def fork($log):
  need((.guests // []) | length == (unique | length); "says twice that a guest holdout was entered"),
  need($log.n == 0; "goes on from another log, which only the first entry can"),
  need([.tasks[]?.task] | length == (unique | length); "says twice what a task had come to"),
  (.tasks[]?.holdouts | need(map(.sha256) | length == (unique | length);
    "says twice what a holdout was used for")),
  need(all(.tasks[]?.holdouts[]; .kept <= .looks and .looks <= .uses);
    "counts more looks at a holdout than attempts"),
  need((.judged // []) | (map(.sha256) | length == (unique | length)) and all(.kept <= .looks);
    "counts verdicts on what others made that cannot be");

# What a node says. Texts that have to have a digest are compared by the shell, which can compute one: see
# lines D and Z. Lists of updates are only named here by their digests.
def empty_list: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
def no_node: {leaf: "", genesis: null, metric: null, guests: [], adopted: [], open: null};
def kept_looks: map(select(.level > 0)) | length;
# Of what a round was charged, the part of its strangers: so many of its candidates.
def strangers_part($joules; $candidates):
  ([$candidates[] | select(.byLottery)] | length) as $strangers | $joules * $strangers / ($candidates | length) | ceil;
def charged: [.energy.microjoules, 0] | max;

def node($log; $known; $node):
  need(.supersedes // "" | . == $node.leaf; "does not name what the node said of itself before"),
  need((.logKey | split("+")[0]) == $origin; "names the key of another log"),
  (select($known != null) | need($known.list == null or .genesis.digest == $known.list.genesis;
    "names another genesis than the one that the list of its head begins at"),
    need(.metric == $known.metric; "names another metric than its attempts have"));

# The first attempt of a task begins with what a node has said before it.
def begun($log):
  $log.nodes[.task.name] as $node
  | select($log.tasks[.task.name] == null and $node.genesis != null)
  | need(.base.digest == $node.genesis; "begins at another version than the genesis that its node has named"),
    need(metric == $node.metric; "measures something else than its node has named");

def guest($log; $known; $node):
  need(.root as $root | any($log.guests[]; . == $root) | not;
    "enters a guest holdout again, perhaps one of the log that it goes on from"),
  need(($known.holdouts // {})[.root] == null; "enters a holdout that decides on the node’s own updates");

def offer($log; $known; $node):
  ($log.trained["\(.receiptAt)"] // {}) as $made
  | if .receiptAt >= .sequence or $made.leaf != .receipt then "offers what entry \(.receiptAt) did not make"
    else need($made.about == [.update.adapter, .config] and $made.task == .task;
        "offers another update than entry \(.receiptAt) made"),
      need($made.genesis == .update.genesis; "says that its update was trained on another version than its receipt does")
    end;

def round_intent($log; $known; $node):
  . as $p | .guest as $guest
  | ([range($node.guests | length) | select($node.guests[.].root == $guest.root)][0]) as $at
  | (if $at == null then null else $node.guests[$at] end) as $found
  | need($node.open == null; "is announced though the round before it has no record: its result was left out"),
    need(.base == $known.head; "begins at another version than the head"),
    need($known.list == null or $known.list == {genesis, digest: .composed};
      "names another list than that of the head"),
    # Whether one is worn out, and how high its bar is, takes a logarithm: one that has given no verdict is not.
    need($found != null and ($found | (.opened or .pledged | not) and (.looks | length) < .max
          and [.count, .alpha, (.looks | length), (.looks | kept_looks)]
            == ($guest | [.count, .alphaPpm, .looks, .kept]))
        and all($node.guests[:$at][]; .opened or .pledged or (.looks | length) > 0);
      "names another guest holdout than the log gives, or counts its looks otherwise"),
    need($found == null or .announcedAt[:10] <= $found.due;
      "looks at a guest holdout that was to be opened by \($found.due)"),
    need($guest.neededMilli > ([$found.looks[]?.needed] | max // 0);
      "has a bar that did not rise with the look before"),
    need(.candidates | map(.capsule) | length == (unique | length); "considers an update twice"),
    need(any(.candidates[].capsule; . as $one | any($node.adopted[]; .capsule == $one)) | not;
      "considers an update that its head has"),
    ([.candidates[] | select(.byLottery)] | length) as $strangers
    | need($strangers == 0 or $log.charged.strangers + strangers_part(.reservedMicrojoules; .candidates)
        <= (($log.charged.all + .reservedMicrojoules) / 100 | floor);
      "considers more strangers than a hundredth of the joules pays for that the log has settled");

def members($opened):
  . as $p | (.outcome == "accepted") as $kept
  | [.steps[] | select(.kind != "reweight") | .update.adapter] as $taken
  | if .outcome == "aborted" then
      need(.members == [] and .steps == [] and .look == null; "is aborted, but carries verdicts")
    elif [.members[].capsule] != [$opened.candidates[].capsule] then
      "does not say of each of its candidates what became of it"
    else
      need(([.members[] | select(.verdict == "adopted").capsule] | unique)
          == (if $kept then $taken | unique else [] end); "says that it adopted other updates than its steps do"),
      # What was composed and made a guard set worse is called unsafe.
      (if all(.guards[]?; .passed) then ["adopted", "not-chosen"] else ["unsafe", "not-chosen"] end) as $tried
      | need(all($taken[]; . as $one | any($p.members[]; .capsule == $one
          and (.verdict as $verdict | any($tried[]; . == $verdict))));
        "composed an update that it refused, or that was no candidate"),
      need(all(.members[]; ((.of // "") != "") == (.verdict == "duplicate" or .verdict == "copied") and .of != .capsule);
        "calls an update a duplicate without naming of what, or names that of another verdict")
    end;
def round($log; $known; $node):
  . as $p | .look.level as $level | (.outcome == "accepted") as $kept
  | (.energy | energy, told($p.outcome == "aborted" and ($p.cause == "lost" or $p.cause == "crashed"))),
    need(.id | as_lent | not; "is called as joules are that were lent to a worker"),
    need(.base == $known.head; "was judged against another version than the head"),
    need((.result == .base) != $kept; "is \(.outcome), but its result is another version"),
    need(if $kept then any(2000000, 10000000, 50000000, 250000000; . == $level)
      elif .outcome == "rejected" then $level == 0 else .look == null end;
      "is \(.outcome), and its look says another thing"),
    need(.look == null or all(.guards[]?; .passed); "was shown to the guest holdout though it made a guard set worse"),
    need($kept or $known.list == null or .composed == $known.list.digest; "names another list than its steps make"),
    (if .search == null then need(.steps == []; "has steps, and no search that found them")
      else need(.steps == [] or .search.deltaNanoNat > 0;
        "composed what did not help on the node’s own training side") end),
    (if $node.open == null or $node.open.leaf != .intent then
        "records a round that was not announced, or that has a record"
      else $node.open.said as $opened
        | need(.id == $opened.id and .base == $opened.base; "records another round than was announced"),
          need(.energy.reservedMicrojoules == $opened.reservedMicrojoules;
            "reserved something else than was announced"),
          need(.search == null or .search.count == $opened.screenedWith;
            "searched with another number of examples than was announced"),
          members($opened)
      end);

# The largest level that sums certify by a bar: the mean of δ - level still passes it. $s and $v are Σδ, Σδ².
def less($a; $b): [range([$a, $b | length] | max) as $i | ($a[$i] // 0) - ($b[$i] // 0)] | carried;
def certified($n; $s; $v; $needed):
  reduce (2000000, 10000000, 50000000, 250000000) as $level ({found: 0, on: true};
    product([$n, $level]) as $off
    | if .on and $s > 0 and above($s | digits; $off) then
        less($s | digits; $off) as $shifted
        | less(plus($v; product([$n, $level, $level])); product([2, $level, $s])) as $squared
        | if above(times(product([1000]); times($shifted; $shifted)); times($needed | digits; $squared))
          then .found = $level else .on = false end
      else .on = false end) | .found;
def opening($log; $known; $node):
  . as $p | ([$node.guests[] | select(.root == $p.root)][0]) as $guest
  | if $guest == null or $guest.opened then "opens a guest holdout that was not entered, or that was opened before"
    else need(.count == $guest.count; "opens another number of examples than were entered"),
      if [.rounds[].intent] != [$guest.looks[].intent] then
        "does not open the looks that its guest holdout has given, in their order"
      else range(.rounds | length) as $i | .rounds[$i].sums as $sums | $guest.looks[$i] as $look
        | ($sums.baseLossSum - $sums.newLossSum) as $s | ($sums.deltaSquaredSum | digits | carried) as $v
        | need($sums.base == $look.base; "opens a look to another base than its round had"),
          if above($s | square; times($p.count | digits; $v)) then "opens a look to sums that no losses have"
          else need(certified($p.count; $s; $v; $look.needed) == $look.level;
            "published another level than the sums of its look certify") end
      end
    end;

def recalled($log; $known; $node):
  need(.base == $known.head; "takes an update out of another version than the head"),
  need(.capsule as $one | any($node.adopted[]; .capsule == $one); "recalls an update that its head has not adopted");

def of_node($type): any("node", "guest-holdout", "offer", "round-intent", "round", "opening", "recall"; . == $type);
def of_contract($type): any("contract", "contract-accept", "contract-look", "contract-result"; . == $type);
def network($log; $type):
  $log.tasks[.task] as $known | ($log.nodes[.task] // no_node) as $node
  | if $known == null and ($type | IN("node", "guest-holdout", "opening") | not)
    then "is about a task of which the log has no attempt yet"
    elif $type == "node" then node($log; $known; $node)
    elif $type == "guest-holdout" then guest($log; $known; $node)
    elif $type == "offer" then offer($log; $known; $node)
    elif $type == "round-intent" then round_intent($log; $known; $node)
    elif $type == "round" then round($log; $known; $node)
    elif $type == "opening" then opening($log; $known; $node)
    else recalled($log; $known; $node) end;
# The digests that it is about.
def network_about($type):
  if $type == "node" then [.genesis.files]
  elif $type == "guest-holdout" then [.root]
  elif $type == "offer" then [.update.adapter, .config]
  elif $type == "round-intent" then [.base.files]
  elif $type == "opening" then [.examples]
  else [.result.files] end;
# What of it the shell compares: D: a text, its digest, what is wrong if it has another; Z: the same of a seal.
def to_hash($log; $name; $type):
  if $type == "offer" then
    ($log.trained["\(.receiptAt)"] // {}) as $made | .update as $update
    | (($update.parent // []) | map("\(.weight) \(.adapter) \(.parent)\n") | add // "") as $parent
    | select($made.leaf == .receipt) | "D \($name) \($made.list) \($update.adapter) \($parent | @base64)"
  elif $type == "opening" then
    . as $p | ([$log.nodes[.task].guests[]? | select(.root == $p.root)][0].looks // []) as $looks
    | select([.rounds[].intent] == [$looks[].intent]) | range(.rounds | length) as $i
    | "Z \($name) \($looks[$i].sealed) \(.key)\($looks[$i].intent) \(.rounds[$i].sums | canonical | @base64)"
  else empty end;

def key_change($log; $type):
  if $type == "key-root" then
    need($log.root == null; "names a root key, but the log has one"),
    need(.root.keyid != $log.current; "names the receipt key as the root key")
  elif $type == "key-rotation" then
    need(.retired == $log.reigns[-1]; "retires a key that is not the last one"),
    need(.successor.keyid as $k | any($log.reigns[], $log.root; . == $k) | not; "names a key again")
  else need(.revoked as $k | any($log.reigns[]; . == $k); "revokes a key that never signed here") end;

def signer($log; $type):
  if $type == "key-rotation" or $type == "key-revocation" then $log.root else $log.current end;
def names_log_key: .name == "log-public-key.der";
# What an entry is about, beside the log key that a first one vouches for.
def about($log): [.subject[] | select($log.n > 0 or (names_log_key | not))];

def wrong($log; $said; $type; $two):
  need($said.predicate.sequence == $log.n; "its sequence number is not its place"),
  need($said.predicate.prev == $log.last; "prev is not the entry before it"),
  ([$said.subject[] | select(names_log_key)]
    | need(length == 0 or $log.n == 0; "vouches for a log key, which only the first entry can"),
    need(length < 2; "vouches for more than one log key")),
  ($said.predicate
    | if $type == "intent" then intent($log; $two), begun($log)
      elif $type == "receipt" then receipt($log; $two)
      elif $type == "head" then move($log)
      elif $type == "session" then session($log)
      elif $type == "judgement" then judgement($log), (.new as $new
        | need([$said | about($log)[] | [.name, .digest.sha256]] == [[$new.name, $new.sha256]];
          "its subject is not the new one of the two"))
      elif of_node($type) then network($log; $type),
        need([$said | about($log)[].digest.sha256] == network_about($type);
          "is about another subject than it says")
      elif of_contract($type) then empty  # both logs are needed for what they come to
      elif $type == "fork" then fork($log),
        need([$said | about($log)[].name] == ["checkpoint"];
          "its subject is not the head that it goes on from")
      else of_key as $key
        | need([$said | about($log)[].digest.sha256] == [$key];
          "its subject is not the key that it is about"),
          key_change($log; $type) end);

# What the log has come to, after an entry.
def place: tostring | if length < 6 then "000000\(.)"[-6:] else . end;
def lapsing($type; $p): if $type == "session" then .open
  elif $type == "intent" then .open[: ([(.open | length) + 1 - ($p.slots // 1), 0] | max)] else [] end;
def lapsed($type; $p): "is announced and has no receipt: its result was left out" as $what
  | [lapsing($type; $p)[] | "F entries/\(.n | place).json \($what)"];
def unused: {count, uses: 0, looks: 0, kept: 0};
def fields: .training.section.fields // {};
def list_after: if (fields | .merge) == "compose/v1" then fields | {genesis, digest: .list}
  else {genesis: .result.digest, digest: empty_list} end;
def took_network($p; $type; $leaf; $n):
  $p.task as $task | .nodes[$task] |= (. // no_node)
  | if $type == "node" then .nodes[$task] += {$leaf, genesis: $p.genesis.digest, metric: $p.metric}
    elif $type == "guest-holdout" then .guests += [$p.root]
      | .nodes[$task].guests |= (if any(.[]; .root == $p.root) then . else
          . + [{root: $p.root, count: $p.count, alpha: $p.alphaPpm, max: $p.maxLooks, due: $p.openBy, looks: [],
              opened: false}] end)
    elif $type == "round-intent" then .nodes[$task].open = {$leaf, said: $p}
    elif $type == "opening" then .nodes[$task].guests |= map(if .root == $p.root then .opened = true else . end)
    elif $type == "offer" then .
    else
      (if $type == "recall" then .nodes[$task].adopted |= map(select(.capsule != $p.capsule and .by != $p.capsule))
       else .rounds += 1 | .charged.all += ($p | charged) | .nodes[$task].open as $open
        | if $open.leaf != $p.intent then . else
            .charged.strangers += strangers_part($p | charged; $open.said.candidates) | $open.said.guest as $guest | ($p.look // {} | {intent: $p.intent, sealed, level, base: $p.base,
              needed: $guest.neededMilli}) as $look
            | .nodes[$task].open = null
            | (if $p.look == null then . else
                .nodes[$task].guests |= map(if .root == $guest.root then .looks += [$look] else . end) end)
            | (if $p.outcome != "accepted" then . else
                .nodes[$task].adopted |= (. + [$p.steps[] | select(.kind != "reweight") | .update.adapter as $by
                  | $by, (select(.kind == "mix") | .update.parent[]?.adapter) | {capsule: ., $by}] | unique) end) end end)
      | if .tasks[$task] == null or ($type == "round" and $p.outcome != "accepted") then . else
          .tasks[$task].head = $p.result | .made[$n] = {$leaf, heads: {($task): $p.result}}
          | (if .tasks[$task].list == null then . else .tasks[$task].list.digest = $p.composed end) end end;
def took_contract($p; $type):
  if $p.terms == null then . else $p.task as $task
    | .nodes[$task] |= (. // no_node)
    | .nodes[$task].guests |= map(if .root == $p.terms.guestRoot then .pledged = true else . end) end;
def took($p; $type; $leaf; $about):
  "\(.n)" as $n
  | if $type == "intent" then ($p | announced) as $a | $p.task.name as $task | $a.data.holdout as $h
      | .open = .open - lapsing($type; $p) + [$a + {leaf: $leaf, n: ($n | tonumber)}]
      | .attempts += 1
      | (if .tasks[$task] then . else
          .tasks[$task] = {data: $a.data, metric: $a.metric, head: $a.base, holdouts: {}, hits: null,
            list: {genesis: $a.base.digest, digest: empty_list}}
          | .made[$n] = {$leaf, heads: {($task): $a.base}} end)
      | .tasks[$task].holdouts[$h.sha256] |= ((. // ($h | unused)) | .uses += 1)
    elif $type == "receipt" then $p.task.name as $task
      | .open |= map(select(.leaf != $p.intent)) | .receipts += 1 | .charged.all += ($p | charged)
      | (if $p | fields | .genesis == null then . else
          .trained[$n] = ($p | fields | {$leaf, $about, $task, genesis, list}) end)
      | if .tasks[$task] == null then . else
          .tasks[$task].head = $p.result
          | (if $p.outcome == "accepted" then .made[$n] = {$leaf, heads: {($task): $p.result}}
              | .tasks[$task].list = ($p | list_after) else . end)
          | (if $p.evaluation == null then . else
              .tasks[$task].hits |= (if . == null then $p.evaluation | hits != null else . end)
              | .tasks[$task].holdouts[$p.holdout.sha256] |= ((. // ($p.holdout | unused))
                | .looks += 1 | .kept += (if $p.outcome == "accepted" then 1 else 0 end)) end) end
    elif of_node($type) then took_network($p; $type; $leaf; $n)
    elif of_contract($type) then took_contract($p; $type)
    elif $type == "head" then if .tasks[$p.task] == null then . else
      (if $p.move == "prune" then . else .tasks[$p.task].list = null end) | .tasks[$p.task].head = $p.result end
    elif $type == "judgement" then .receipts += 1 | $p.decision.rule.alphaPpm as $alpha
      | .judged[$p.measured.sha256] |= ((. // {looks: 0, kept: 0, $alpha})
        | .looks += 1 | .kept += (if $p.outcome == "accepted" then 1 else 0 end)
        | .alpha = ([.alpha, $alpha] | min))
    elif $type == "session" then .open = [] | .accounted = .attempts | .closed = .n + 1 | .charged.all += ($p | charged)
    elif $type == "fork" then
      .guests = ($p.guests // [])
      | .tasks = ([$p.tasks[]? | {key: .task, value: {data, metric, head, hits: null,
        list: {genesis: .head.digest, digest: empty_list},
        holdouts: ([.holdouts[] | {key: .sha256, value: {count, uses, looks, kept}}] | from_entries)}}]
        | from_entries)
      | .made[$n] = {$leaf, heads: ([$p.tasks[]? | {key: .task, value: .head}] | from_entries)}
      | .judged = ([$p.judged[]? | {key: .sha256, value: {looks, kept, alpha: .alphaPpm}}] | from_entries)
    elif $type == "key-root" then .root = $p.root.keyid
    elif $type == "key-rotation" then .current = $p.successor.keyid | .reigns += [.current]
    else if .current == $p.revoked then .current = null else . end end;

def end_of_log: . as $log
  | (.open[] | select(.slots <= 1 and .n != $log.n - 1)
      | "F entries/\(.n | place).json is announced and has no receipt: its result was left out"),
    (.tasks | to_entries | sort_by(.key)[] | "H \(.key) \(.value.head.digest) \(.value.head.files)"),
    "N \(.n) \(.receipts) \(.rounds)";

kinds as $kinds
| foreach (inputs, null) as $line (
    {n: 0, last: ("0" * 64), open: [], tasks: {}, judged: {}, made: {}, attempts: 0, accounted: 0, closed: 0, receipts: 0,
      nodes: {}, guests: [], trained: {}, rounds: 0, charged: {all: 0, strangers: 0}, current: $first, reigns: [$first], root: null};
    if $line == null then .lines = [end_of_log] else
      ($line | split(" ")) as $it | $it[0] as $leaf | "entries/\(.n | place).json" as $name
      | ($it[1] | read($kinds)) as $read | $read.said as $said
      | (if $read.wrong == [] then
          ($said.predicateType | split("/")) as $words | $words[-2] as $type | ($words[-1] == "v2") as $two
          | . as $log | signer($log; $type) as $signer | $read.envelope.signatures[0] as $signature
          | [wrong($log; $said; $type; $two)] as $wrong
          | ($signature.keyid == $signer) as $own
          | lapsed($type; $said.predicate) as $lapsed
          | (if ($type | startswith("key-")) and ($wrong != [] or ($own | not)) then .
             else took($said.predicate; $type; $leaf; [$said | about($log)[].digest.sha256]) end)
          | .lines = $lapsed + [$wrong[] | "F \($name) \(.)"]
            + [if $own then "E \($name) \($signer) \($read.envelope.payload) \($signature.sig)"
               else "F \($name) is not signed by the valid key \($signer // "(there is none)")" end]
            + [select($type | startswith("key-")) | $said.predicate | .root // .successor | select(.) | "K \($name) \(.keyid) \(.ed25519)"]
            + [select($log.n == 0) | $said.subject[] | select(names_log_key) | "L \($name) \(.digest.sha256)"]
            + [select(of_node($type)) | $said.predicate | to_hash($log; $name; $type)]
            + [select($type == "fork") | ($said | about($log)[].digest.sha256) as $digest
              | "C \($name) \($digest) \($said.predicate.parent.checkpoint | @base64)"]
         else .lines = [$read.wrong[] | "F \($name) \(.)"] end)
      | .last = $leaf | .n += 1 end;
    .lines[])
'

# ---- One entry after the other ----------------------------------------------------------------------------
# $t/leaf: each entry after a zero byte, as its leaf hash covers it. An entry has at most 60,000 bytes; what
# is longer is not read to its end.

mkdir "$t/leaf"
n=0
while entry=entries/$(printf %06d $n).json && [ -f "$entry" ]; do
  { printf '\000' && head -c 60001 "$entry"; } > "$t/leaf/$(printf %09d $n)"
  n=$((n + 1))
done
[ $n = 0 ] || (cd "$t/leaf" && ls | xargs sha256sum) | cut -c 1-64 > "$t/hashes"
[ $n = 0 ] || (cd "$t/leaf" && ls | xargs -n 1000 wc -c) | sed '/total$/d; s/^ *//; s/ .*//' > "$t/sizes"
[ $n != 0 ] || : > "$t/hashes" > "$t/sizes"
: > "$t/lines"
: > "$t/tile.entries"
i=0
while read -r hash <&3 && read -r size <&4; do
  entry=entries/$(printf %06d $i).json
  size=$((size - 1)) i=$((i + 1))
  [ $size -le 60000 ] || fail "$entry" "has more than 60000 bytes"
  printf '%s ' "$hash" >> "$t/lines"
  [ $size -gt 60000 ] || base64 -w 0 < "$entry" >> "$t/lines"
  echo >> "$t/lines"
  high=$((size / 256)) low=$((size % 256)) # two bytes, each as three octal digits
  high=$((high / 64))$((high / 8 % 8))$((high % 8)) low=$((low / 64))$((low / 8 % 8))$((low % 8))
  printf "\\$high\\$low" >> "$t/tile.entries"
  tail -c +2 "$t/leaf/$(printf %09d $((i - 1)))" >> "$t/tile.entries"
  if [ $((i % 256)) = 0 ] || [ $i = $n ]; then
    check_tile entries $i "$t/tile.entries"
    : > "$t/tile.entries"
  fi
done 3< "$t/hashes" 4< "$t/sizes"
cat "$t/hashes" > "$t/nodes"
check_tree $n

in_toto=application/vnd.in-toto+json
jq -nRr --slurpfile schema "$schema" --arg first "$first" --arg origin "$origin" --arg in_toto $in_toto \
  "$bytes $reading" "$t/lines" > "$t/said" 2> "$t/errors" ||
  fail entries "what they say cannot be read: $(head -c 200 "$t/errors")"

# Signatures are over type and payload (DSSE), by the key that is valid at that place.
known=" $first " vouched= read=- receipts=0 rounds=0
: > "$t/heads"
while read -r what where one two three; do
  case $what in
  F) fail "$where" "$one${two:+ $two}${three:+ $three}" ;;
  E)
    printf %s "$two" | base64 -d > "$t/payload"
    printf %s "$three" | base64 -d > "$t/sig"
    printf 'DSSEv1 %d %s %d ' ${#in_toto} $in_toto "$(wc -c < "$t/payload")" > "$t/pae"
    cat "$t/payload" >> "$t/pae"
    signed "keys/$one.pem" "$t/pae" "$t/sig" || fail "$where" "is not signed by the valid key $one"
    ;;
  K)
    known="$known$one "
    [ "$(der "keys/$one.pem" | tail -c 32 | base64)" = "$two" ] ||
      fail "$where" "brings another key than its id says"
    ;;
  L)
    vouched=$one
    [ "$one" = "$log_key" ] || fail "$where" "vouches for another log key than keys/log.pub"
    ;;
  C)
    [ "$(printf %s "$two" | base64 -d | sum)" = "$one" ] ||
      fail "$where" "its subject is not the head that it goes on from"
    ;;
  D) # an update was trained on the list that its offer says: that list and the update are the list of its receipt
    printf %s "$three" | base64 -d > "$t/parent"
    below=$(sum < "$t/parent")
    # A full list becomes one term of the next, which says its digest twice.
    [ "$(wc -l < "$t/parent")" -lt 64 ] || printf '1 %s %s\n' "$below" "$below" > "$t/parent"
    list=$({ cat "$t/parent" && printf '1 %s %s\n' "$two" "$below"; } | sum)
    [ "$list" = "$one" ] || fail "$where" "says that its update was trained on another list than its receipt does"
    ;;
  Z) # what a round sealed: SHA-256(a salt that follows from key and announcement, and the sums)
    key=$(printf %.64s "$two") intent=${two#"$(printf %.64s "$two")"}
    { printf 'cryoflux sealed sums' && printf %s "$intent" | unhex; } > "$t/named"
    salt=$(openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r "$t/named" | cut -c 1-64)
    [ "$({ printf %s "$salt" | unhex && printf %s "$three" | base64 -d; } | sum)" = "$one" ] ||
      fail "$where" "opens a look to other sums than were sealed"
    ;;
  H) printf '%s %s %s\n' "$where" "$one" "$two" >> "$t/heads" ;;
  N) read=$where receipts=$one rounds=$two ;;
  esac
done < "$t/said"
[ "$read" = $n ] || fail entries "could not be read to their end"

# ---- Nothing is beside the log ----------------------------------------------------------------------------
set -- entries/*
[ -e "$1" ] || shift
[ $# = "$n" ] || fail entries "holds $# files, of which $n are entries in a row"
for f in keys/*.pem; do
  f=${f#keys/}
  case $known in *" ${f%.pem} "*) ;; *) fail "keys/$f" "no entry names this key" ;; esac
done
same "$t/heads" heads.txt || fail heads.txt "is not where the log leaves the heads of its tasks"

# ---- The checkpoint ---------------------------------------------------------------------------------------
# A C2SP signed note: origin, number of entries, root, perhaps further lines, an empty line, and signature
# lines. The one of the log's key carries its name, which is the origin, and four bytes that tell it from
# another of this name. Others are cosignatures of witnesses, for whoever knows the key of one; they only have
# to be signature lines. jq is given base64, as with entries: it mends, unasked, what is no UTF-8.

[ -f log/checkpoint ] && head -c 131073 log/checkpoint > "$t/checkpoint" || : > "$t/checkpoint"
printf '%s\n%d\n%s\n' "$origin" "$n" "$(printf %s "$root" | unhex | base64)" > "$t/body"
head -n 3 "$t/checkpoint" > "$t/begun"
same "$t/body" "$t/begun" ||
  fail log/checkpoint "is over another number or order of entries: $n are here, with root $root"
id=$({ printf '%s\n\001' "$origin" && der keys/log.pub | tail -c 32; } | sum | cut -c 1-8)
reading_note='
  def is_base64: test("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$");
  def holds_five_bytes: length > 8 or (length == 8 and (endswith("==") | not));
  # No control character, no plus, and nothing that Unicode calls white space.
  def is_name: . != "" and all(explode[]; . > 32 and . != 43 and . != 133 and . != 160 and . != 5760
    and (. < 8192 or . > 8202) and . != 8232 and . != 8233 and . != 8239 and . != 8287 and . != 12288);
  def is_signature_line: split(" ") | length == 3 and .[0] == "\u2014" and (.[1] | is_name)
    and (.[2] | is_base64 and holds_five_bytes);
  (unpacked // "") as $note | ($note | split("\n")) as $lines | ($lines | index("") // 0) as $gap
  | $lines[$gap + 1:-1] as $signatures
  | if ($note | utf8bytelength) <= 131072 and $gap >= 3 and all($lines[3:$gap][] | explode[]; . > 31)
      and $lines[-1] == "" and ($signatures | length | . >= 1 and . <= 64)
      and all($signatures[]; is_signature_line)
    then $gap, ($signatures[] | split(" ") | select(.[1] == $origin) | .[2]) else "-" end'
base64 -w 0 < "$t/checkpoint" | jq -Rrs --arg origin "$origin" "$bytes $reading_note" \
  > "$t/signatures" 2> /dev/null || echo - > "$t/signatures"
ours=0
{
  read -r length
  if [ "$length" = - ]; then fail log/checkpoint "has lines that are no signature lines"; else
    head -n "$length" "$t/checkpoint" > "$t/note"
  fi
  while read -r line; do
    printf %s "$line" | base64 -d > "$t/sig" 2> /dev/null
    [ "$(head -c 4 "$t/sig" | xxd -p)" = "$id" ] || continue # of another key of this name
    ours=$((ours + 1))
    tail -c +5 "$t/sig" > "$t/signature"
    signed keys/log.pub "$t/note" "$t/signature" || fail log/checkpoint "is not signed by keys/log.pub"
  done
} < "$t/signatures"
[ $ours != 0 ] || fail log/checkpoint "has no signature line of keys/log.pub under the name $origin"

# ---- Artefacts, where there are some ----------------------------------------------------------------------
# Each lies in a folder that is called by its digest, and an entry names that digest. The folder of a model is
# called by the digest of its tensors; the entries name it together with the digest of its SHA256SUMS. That
# file is made again here and compared, line by line in any order: sha256sum -c passes over some lines, and
# reads others in its own way.
named_in='split(" ")[1] | try (@base64d | fromjson | .payload | @base64d | fromjson) catch null
  | .. | strings, (objects | "\(.digest?) \(.files?)")'
: > "$t/named"
set -- artefacts/* models/*
[ -e "$1" ] || shift
[ ! -e "$1" ] || jq -Rr "$named_in" "$t/lines" > "$t/named" 2> /dev/null
names() { # whether an entry names $1
  while read -r text; do [ "$text" != "$1" ] || return 0; done < "$t/named"
  return 1
}
feed='
'
lines_of() { # a line of SHA256SUMS for each file below the folder $1 of a model, which lies $2 folders deep
  for f in "$1"* "$1".[!.]* "$1"..?*; do
    if [ "$f" = SHA256SUMS ] || { [ ! -e "$f" ] && [ ! -L "$f" ]; }; then
      continue
    elif [ -d "$f" ] && [ ! -L "$f" ] && [ "$2" -lt 32 ]; then
      lines_of "$f/" $(($2 + 1))
    else # what is no file is not read
      case $f in *"$feed"*) false ;; *) [ -f "$f" ] && printf '%s  %s\n' "$(sum < "$f")" "$f" ;; esac ||
        echo "$f" >> "$t/odd"
    fi
  done
}
for f in artefacts/*/* models/*/SHA256SUMS; do
  [ ! -e "$f" ] || [ -f "$f" ] || { fail "$f" "is no file" && n=-1; }
done
[ $n != -1 ] || { echo "NOT VERIFIED: $(counted $bad check checks) failed" && exit 1; } # what is no file is not read
for f in artefacts/*/*; do
  [ -e "$f" ] || continue
  digest=$(sum < "$f")
  case $f in artefacts/$digest/*) names "$digest" ;; *) false ;; esac ||
    fail "$f" "no entry names these bytes"
done
for model in models/*; do
  [ -e "$model" ] || continue
  [ -f "$model/SHA256SUMS" ] || { fail "$model" "has no SHA256SUMS" && continue; }
  names "${model#models/} $(sum < "$model/SHA256SUMS")" ||
    fail "$model/SHA256SUMS" "no entry names these bytes"
  [ $(($(wc -c < "$model/SHA256SUMS"))) -le 1048576 ] || fail "$model/SHA256SUMS" "has more than 1 MiB"
  : > "$t/odd"
  (cd "$model" && lines_of "" 0) | sort > "$t/listed"
  sort < "$model/SHA256SUMS" > "$t/signed"
  [ ! -s "$t/odd" ] && same "$t/listed" "$t/signed" ||
    fail "$model" "has other files than its SHA256SUMS says, or one was changed"
done

# ---- The verdict ------------------------------------------------------------------------------------------
if [ $bad != 0 ]; then
  echo "NOT VERIFIED: $(counted $bad check checks) failed"
  exit 1
fi
verdict="$(counted "$n" entry entries), $(counted "$receipts" receipt receipts)"
[ "$rounds" = 0 ] || verdict="$verdict, $(counted "$rounds" round rounds)"
echo "VERIFIED $verdict: bytes, signatures, order, tree, arithmetic, decisions, heads."
echo "First key: $first"
if [ "$vouched" ]; then
  echo "Log key: $log_key, for which the first entry vouches"
else
  echo "Log key: $log_key; no entry vouches for it, so whoever made the bundle may have put it there"
fi
while read -r task head _; do echo "Head of $task: $head"; done < heads.txt
echo "Not checked here: how high a bar has to be, and what follows from it (when a holdout is spent, stakes,"
echo "screens, early stops; whether a rollback was due, and looks at a monitor); what chains go on from; the choice"
echo "of arms; sentences of the first form; losses against the model; the digest of its tensors; sections of a task;"
echo "what a fork says of the log before it; what the meter signed; cosignatures of witnesses; joules; contracts."
[ "$rounds" = 0 ] || {
  echo "Nor, of rounds: how high their bars have to be, and so when a guest holdout is worn out; that lists of updates"
  echo "follow from their steps, and what a recall leaves; sums that are still sealed; those opened against the losses;"
  echo "whether the rules that they name are these."
}
