#!/usr/bin/env bash
# The demo that `make demo` runs: four real tables, fitted, scored and compared with what is known about them, and a
# report at the end. Everything it writes goes to demo/.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -x .venv/bin/vaecli ]; then
  PATH="$PWD/.venv/bin:$PATH"
fi
if ! command -v vaecli > /dev/null; then
  echo "vaecli is not installed here: run \`make install\` first." >&2
  exit 2
fi
if ! command -v python > /dev/null; then
  python() { python3 "$@"; }
fi
mkdir -p demo

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
  bold='' plain=''
fi

say() {
  echo
  printf '%s\n' "$@"
}
run() {
  printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"
  "$@"
}

say "1. A SPACE SHUTTLE: nine sensors, numbers only" \
  "   normal.csv holds readings of normal operation. vaecli learns from it what belongs together."
run head -n 4 sample_data/shuttle/normal.csv
run vaecli fit sample_data/shuttle/normal.csv -o demo/shuttle.vae
run vaecli inspect demo/shuttle.vae

say "   mixed.csv holds other readings, normal ones and faults together. Its column 'label' (1 = fault)" \
  "   passes through to the output; vaecli does not use it."
run vaecli score sample_data/shuttle/mixed.csv -m demo/shuttle.vae --threshold 0.99 -o demo/shuttle.scored.csv
run head -n 6 demo/shuttle.scored.csv

say "   Was it right? Compare the flags with the labels. (The warning above is correct: one row in seven here is a fault.)"
run python sample_data/compare.py demo/shuttle.scored.csv

say "   Why is a row flagged? Each reason shows the value of a cell and the value expected from the rest of its row."
run vaecli explain sample_data/shuttle/mixed.csv -m demo/shuttle.vae --row 11,21

say "   Would a simple method do as well? Measured on the same rows, with intervals."
run vaecli evaluate sample_data/shuttle/mixed.csv -m demo/shuttle.vae --label label \
  --baselines sample_data/shuttle/normal.csv

say "2. CARS OF 1985: categories, numbers and missing cells ('?') in a table of only 111 rows" \
  "   normal.csv holds spec sheets of petrol cars. The fuel itself is not in the table."
run head -n 3 sample_data/cars/normal.csv
run vaecli fit sample_data/cars/normal.csv -o demo/cars.vae

say "   mixed.csv holds other petrol cars and twenty diesels (label 1) that slipped in."
run vaecli score sample_data/cars/mixed.csv -m demo/cars.vae --threshold 0.99 -o demo/cars.scored.csv
run python sample_data/compare.py demo/cars.scored.csv --show make,num-of-cylinders,compression-ratio,horsepower

say "   The diesels differ in their compression, power and revolutions together. A flagged petrol car counts as a" \
  "   false alarm, though some are unusual cars, like the only three-cylinder. And 111 rows are few:" \
  "   as the warning above states, the share of false alarms may differ from 1 %."

say "3. HANDWRITTEN DIGITS: a picture of 8 x 8 pixels is a row of 64 numbers" \
  "   normal.csv holds the digits 0 to 9 without the five. All columns are ink, measured in one unit."
run vaecli fit sample_data/digits/normal.csv --same-unit all -o demo/digits.vae --quiet
say "   mixed.csv holds other digits and the fives (label 1)."
run vaecli score sample_data/digits/mixed.csv -m demo/digits.vae -o demo/digits.scored.csv --quiet
run python sample_data/compare.py demo/digits.scored.csv
say "   The same networks can draw new rows: a hundred digits that nobody wrote."
run vaecli sample -m demo/digits.vae --image-shape 8x8 -o demo/digits.png

say "4. A WALK: nine accelerometers in time" \
  "   normal.csv holds 150 seconds of a patient's walk. The rows follow each other: vaecli finds the clock and learns windows."
run head -n 3 sample_data/daphnet/normal.csv
run vaecli fit sample_data/daphnet/normal.csv -o demo/daphnet.vae
say "   mixed.csv holds the next 150 seconds. In four events the feet freeze to the ground (label 1)."
run vaecli score sample_data/daphnet/mixed.csv -m demo/daphnet.vae -o demo/daphnet.scored.csv
run python sample_data/compare.py demo/daphnet.scored.csv --events
say "   Each score depends on its row and the rows before it, as a live system needs it."

say "5. WHICH FAULTS WOULD BE DETECTED? No labels are needed: faults are injected into normal rows of the shuttle."
awk -F, 'NR == 1 || $NF == 0' sample_data/shuttle/mixed.csv > demo/shuttle.fresh.csv
run vaecli selftest demo/shuttle.fresh.csv -m demo/shuttle.vae

say "6. A REPORT to share: one self-contained HTML page that opens offline in any browser."
run vaecli report sample_data/shuttle/mixed.csv -m demo/shuttle.vae -o demo/shuttle.report.html
say "   And one about the walk: when it was unusual, and what the accelerometers did then."
run vaecli report sample_data/daphnet/mixed.csv -m demo/daphnet.vae -o demo/daphnet.report.html

say "The scored tables are in demo/, with your columns unchanged and three added:" \
  "anomaly_score (higher is more anomalous), p_value (share of normal rows that score as high), is_anomaly." \
  "Open the reports:  $PWD/demo/shuttle.report.html  $PWD/demo/daphnet.report.html"
