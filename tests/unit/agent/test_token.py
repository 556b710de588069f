"""Which tokens the daemon starts with, and where it starts without one."""

from __future__ import annotations

import pytest

from cryoflux.agent.server import require_token
from cryoflux.errors import ConfigError


def test_beyond_loopback_a_token_is_required():
    for host in ("0.0.0.0", "::", "192.168.1.2", "meter.example"):
        with pytest.raises(ConfigError):
            require_token(host, "")
        require_token(host, "secret")
    for host in ("127.0.0.1", "::1", "[::1]", "localhost"):
        require_token(host, "")


@pytest.mark.parametrize("token", ["schlüssel", "two words", "line\nbreak"])
def test_a_token_that_no_request_could_carry_is_refused(token):
    with pytest.raises(ConfigError) as caught:
        require_token("127.0.0.1", token)
    assert len(caught.value.lines()) == 3
    assert token not in "".join(caught.value.lines())
