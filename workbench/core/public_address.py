"""Which IP addresses are public: the rule that keeps a fetch out of private networks.

`ipaddress.is_global` alone is not it: on Python 3.11 it passes 192.0.0.192, NAT64, 6to4
and multicast. Source: IANA's special-purpose address registries.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Network, ip_address, ip_network

_NOT_PUBLIC = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # protocol assignments, a cloud's metadata among them
            "192.88.99.0/24",  # 6to4 relays
            "224.0.0.0/3",  # multicast, and what is reserved above it
            "64:ff9b::/96",  # NAT64: an IPv4 address inside, perhaps a private one
            "64:ff9b:1::/48",
            "2001::/23",  # Teredo, benchmarks, ORCHID
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_UNICAST = IPv6Network("2000::/3")
"""All that IANA has given out; so IPv4-mapped and -compatible, local and multicast fall out."""


def is_public(address: str) -> bool:
    """Whether an IP address, as text, is one of the open internet's."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if not isinstance(ip, IPv4Address) and (ip.scope_id or ip not in _UNICAST):
        return False
    return ip.is_global and not any(ip in network for network in _NOT_PUBLIC)
