# Arrays, associative arrays, substitutions, pipes, subshells and sorting by threads.
set -u
declare -A seen
declare -a order
state=4242
for ((i = 0; i < 20000; i++)); do
    state=$(((state * 1103515245 + 12345) % 2147483648))
    key="k$((state % 997))"
    [ -n "${seen[$key]:-}" ] || order+=("$key")
    seen[$key]="${seen[$key]:-}$((state % 10))"
done
for key in "${order[@]:0:50}"; do printf '%s %s %d\n' "$key" "${seen[$key]:0:60}" "${#seen[$key]}"; done
text=$(printf '%s\n' "${seen[@]}" | sort --parallel=2 | awk '{ n += length($0); t = t substr($0, 1, 3) } END { print n; print substr(t, 1, 2000) }')
echo "${text//1/one}"
seq 1 300000 | sort --parallel=2 -k1.3,1.5r -k1n | sed -n '1~3001p'
for i in 1 2 3 4 5; do (seq "$i" | tr '\n' ' ' | rev) & wait "$!"; done
echo "$(while read -r line; do echo "${line^^}"; done <<<"$(printf '%s\n' "${order[@]}")" | tail -5)"
exit 9
