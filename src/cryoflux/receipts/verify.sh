#!/bin/sh
# Checks this bundle with openssl, jq, sha256sum and xxd. sh verify.sh [ID OF ITS FIRST KEY, TOLD BY ITS OWNER]
set -u; export LC_ALL=C; case $0 in */*) cd "${0%/*}" || exit 2 ;; esac; t=$(mktemp -d) || exit 2; trap 'rm -rf "$t"' EXIT
bad=0; n=0; root=; head=; open=; receipts=0; prev=$(printf %064d 0)
fail() { printf 'FAILED %s: %s\n' "$1" "$2"; bad=$((bad + 1)); }
sum() { sha256sum | cut -c1-64; }; node() { printf '01%s%s' "$1" "$2" | xxd -r -p | sum; }
keyid() { openssl pkey -pubin -in "$1" -outform DER 2>/dev/null | sum; }
signed() { openssl pkeyutl -verify -pubin -inkey "$1" -rawin -in "$2" -sigfile "$3" >/dev/null 2>&1; }
place() { # the file of tile level $1 when it holds $2 items in all
  i=$((($2 - 1) / 256)); p=; [ $i -ge 1000 ] && p=x$(printf %03d $((i / 1000)))/
  printf 'log/tile/%s/%s%03d' "$1" "$p" $((i % 1000)); [ $(($2 % 256)) = 0 ] || printf '.p/%d' $(($2 % 256)); }
tile() { # compare what was computed, file $2, with the tile of level $1 that holds $3 items in all
  f=$(place "$1" "$3"); [ "$(sum < "$2")" = "$(sum < "$f")" ] || fail "$f" "is not what the entries give"; : > "$2"; }
grow() { # add hash $2 to level $1; c*: items of a level, s*: roots of its perfect subtrees, left to right
  l=$1; x=$2; eval "c=\${c$l:-0}; s=\${s$l:-}"; printf %s "$x" | xxd -r -p >> "$t/$l"; k=$((c % 256))
  while [ $((k & 1)) = 1 ]; do x=$(node "${s##* }" "$x"); s=${s% *}; k=$((k >> 1)); done
  s="$s $x"; c=$((c + 1)); eval "c$l=$c; s$l=\$s"
  [ $((c % 256)) != 0 ] || { tile "$l" "$t/$l" "$c"; eval "s$l="; grow $((l + 1)) "${s# }"; }; }
checks='def L: tostring | [while(. != ""; .[:-6]) | .[-6:] | tonumber];
def N: reduce .[] as $d ([[], 0]; ($d + .[1]) as $s | [.[0] + [$s % 1000000], ($s / 1000000 | floor)])
  | .[0] + (.[1] | [while(. > 0; . / 1000000 | floor) | . % 1000000]) | until(. == [] or .[-1] != 0; .[:-1]);
def M($a; $b): [range(($a | length) + ($b | length)) as $k | [range($a | length) as $i
  | select($k >= $i and $k - $i < ($b | length)) | $a[$i] * $b[$k - $i]] | add // 0] | N;
def gt($a; $b): ($a | [length, reverse]) > ($b | [length, reverse]); def need($ok; $what): if $ok then empty else $what end;
.predicate as $p | $p.evaluation as $e | $p.decision as $d | .predicateType,
($p | .result.digest // .root.keyid // .successor.keyid // .revoked // ""),
need($p.sequence == $i; "sequence is \($p.sequence)"), need($p.prev == $prev; "prev is not the entry before it"), need($p.base == null or $head == "" or $p.base.digest == $head; "its base is not the model before it"),
if .predicateType | endswith("/receipt/v1") | not then empty else
  need($p.intent == $prev; "does not come right after its intent"), ($p.energy |
  need(.loMicrojoules <= .microjoules and .microjoules <= .hiMicrojoules; "energy interval is out of order")),
  need(($p.outcome == "accepted") == ($d != null and $d.accepted); "outcome and decision disagree"),
  need($p.result == (if $p.outcome == "accepted" then $e.candidate // 0 else $p.base end); "result is another model"),
  if $e == null then empty else need($e.deltaNanoNatSum == $e.baseLossNanoNatSum - $e.newLossNanoNatSum; "delta is not base - new"),
    ($d.rule as $r | $e.deltaNanoNatSum as $s | $e.deltaSquaredNanoNatSum as $v | $p.holdout.count as $n
    | ($e.newCorrect - $e.baseCorrect) as $g | ($e.gained + $e.lost) as $m | ($r.zMilli * $r.zMilli) as $z
    | ($s >= $r.minDeltaNanoNat * $n) as $big | ($g * 1000000 >= $r.minAccuracyGainPpm * $n) as $right
    | if $e.examples then false elif $r.name == "whitepaper/v1" then $big or $right
      elif $r.name == "evidence/v1" then
        ($big and $s > 0 and gt(M(M($s | L; $s | L); ($n - 1) * 1000000 + $z | L); M($z | L; M($n | L; $v | L))))
        or ($right and $g > 0 and $s >= 0 and $g * $g * 1000000 > $z * $m)
      elif $r.name == "evidence/v2" then
        ($big and $s > 0 and gt(M(M($s | L; $s | L); 1000 | L); M($r.neededMilli | L; $v | L)))
        or ($right and $g > 0 and $s >= 0 and $g * $g * 1000 > $r.neededMilli * $m)
      else "unknown" end
    | need(. == $d.accepted; "decision: \($r.name) gives \(.), not \($d.accepted)")) end end'
cur=$(keyid keys/receipt.pub); [ "${1:-$cur}" = "$cur" ] || fail keys/receipt.pub "is key $cur"; first=$cur
while e=entries/$(printf %06d $n).json; [ -f "$e" ]; do
  jq -r '.payloadType, .signatures[0].sig, .payload' "$e" > "$t/e" 2>/dev/null || fail "$e" "is no envelope"
  { read -r type; read -r x; printf %s "$x" | base64 -d > "$t/sig"; base64 -d > "$t/p"; } < "$t/e" 2>/dev/null
  { printf 'DSSEv1 %d %s %d ' ${#type} "$type" "$(wc -c < "$t/p")"; cat "$t/p"; } > "$t/pae"
  [ "$(jq -cS . "$e" "$t/p" 2>&1)" = "$(cat "$e"; echo; cat "$t/p")" ] || fail "$e" "is not canonical JSON"
  jq -r --argjson i "$n" --arg prev "$prev" --arg head "$head" "$checks" "$t/p" > "$t/said" 2>/dev/null ||
    fail "$e" "its claims cannot be read"
  { kind=; x=; read -r kind; read -r x; while read -r said; do fail "$e" "$said"; done; } < "$t/said"; due=$cur
  case $kind in */intent/v1) [ -z "$open" ] || fail "$e" "the attempt before it has no receipt"; open=1 ;;
  */receipt/v1) open=; receipts=$((receipts + 1)); head=$x ;;
  */key-root/v1) root=${root:-$x} ;;
  */key-rotation/v1) due=$root; cur=$x ;;
  */key-revocation/v1) due=$root; [ "$x" != "$cur" ] || cur=none ;;
  *) fail "$e" "is of a type that this script does not know" ;; esac
  [ "$(keyid "keys/$due.pem")" = "$due" ] && signed "keys/$due.pem" "$t/pae" "$t/sig" ||
    fail "$e" "is not signed by the valid key $due"
  { printf %04x "$(wc -c < "$e")" | xxd -r -p; cat "$e"; } >> "$t/b"
  prev=$({ printf '\000'; cat "$e"; } | sum); n=$((n + 1)); grow 0 "$prev"
  [ $((n % 256)) != 0 ] || tile entries "$t/b" "$n"; done
[ $((n % 256)) = 0 ] || tile entries "$t/b" "$n"; l=0; peaks=
while eval "c=\${c$l:-0}; s=\${s$l:-}"; [ "$c" != 0 ]; do peaks=$s$peaks
  [ $((c % 256)) = 0 ] || tile "$l" "$t/$l" "$c"; l=$((l + 1)); done
x=${peaks##* }; [ $n != 0 ] || x=$(: | sum); while peaks=${peaks% *}; [ -n "$peaks" ]; do x=$(node "${peaks##* }" "$x"); done
head -n 3 log/checkpoint > "$t/body"; tail -n +5 log/checkpoint | cut -d' ' -f3 | head -n 1 | base64 -d 2>/dev/null | tail -c 64 > "$t/sig"
signed keys/log.pub "$t/body" "$t/sig" || fail log/checkpoint "is not signed by keys/log.pub"
[ "$(printf 'cryoflux.dev/%.16s\n%d\n' "$first" $n; printf %s "$x" | xxd -r -p | base64)" = "$(cat "$t/body")" ] ||
  fail log/checkpoint "is over another number or order of entries: $n are here, with root $x"
[ ! -d artefacts ] && [ ! -d models ] || jq -r '.payload | @base64d | fromjson | .. | strings' entries/*.json > "$t/named"
for f in artefacts/*/* models/*/SHA256SUMS; do [ ! -f "$f" ] || case "$(cat "$t/named")" in
  *"$(sum < "$f")"*) ;; *) fail "$f" "no entry names these bytes" ;; esac; done
for m in models/*/; do [ ! -d "$m" ] || (cd "$m" && sha256sum --status -c SHA256SUMS) || fail "$m" "was changed"; done
[ $bad = 0 ] || { echo "NOT VERIFIED: $bad checks failed"; exit 1; }; echo "VERIFIED $n entries, $receipts receipts: bytes, signatures, chain, tree, arithmetic, decisions. First key: $first"
echo "Not checked here: bars of evidence, screens, early stops, arms; losses against the model; witnesses; joules."
