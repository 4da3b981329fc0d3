#!/bin/sh
# Draws docs/images/report.png again: a year on the embedded market, the upper part of its page. Needs chromium.
set -eu
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
.venv/bin/basis backtest run usdt_market_neutral --start 2024-01-01 --end 2024-12-31 --capital 100000 --out "$out" >/dev/null
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "no chromium here: apt install chromium" >&2
    exit 1
}
"$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor=1 \
    --user-data-dir="$out/profile" --virtual-time-budget=10000 --window-size=1280,1226 \
    --screenshot=docs/images/report.png "file://$(echo "$out"/usdt_market_neutral-*/plots/index.html)" 2>/dev/null
echo "drawn: docs/images/report.png"
