"""Who may do what at the OPC UA server: users by API keys, clients by their certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from service.auth import KeyRing
from service.errors import ServiceError
from service.gateway.libraries import need

Anonymous = Literal["none", "read", "write"]


class KeyUsers:
    """Users by API keys: the password is the key."""

    def __init__(self, keys_file: Path | None, anonymous: Anonymous) -> None:
        self._keys = KeyRing(keys_file) if keys_file is not None else None
        self._anonymous = anonymous
        self._rules = need("asyncua.crypto.permission_rules", "opcua")

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        """The user, or None to refuse. A name without a right key is refused, never anonymous."""
        if not username:
            role = self._rules.UserRole.Anonymous
            return self._rules.User(role=role) if self._anonymous != "none" else None
        if self._keys is None or not password:
            return None
        try:
            name = self._keys.check(str(password), "infer")
        except ServiceError:
            return None
        return self._rules.User(role=self._rules.UserRole.User, name=name)


class Permissions:
    """Users may read, write and call; who has no user only what `anonymous` says; nobody changes nodes."""

    def __init__(self, anonymous: Anonymous) -> None:
        ua = need("asyncua", "opcua").ua
        rules = need("asyncua.crypto.permission_rules", "opcua")
        self._anonymous_role = rules.UserRole.Anonymous
        everything = {ua.NodeId(number) for number in rules.USER_TYPES}
        ids = ua.ObjectIds
        requests = (ids.WriteRequest_Encoding_DefaultBinary, ids.CallRequest_Encoding_DefaultBinary)
        changing = {ua.NodeId(number) for number in requests}
        self._users = everything
        allowed = {"none": set(), "read": everything - changing}
        self._anonymous: set[Any] = allowed.get(anonymous, everything)

    def check_validity(self, user: Any, action_type_id: Any, body: Any) -> bool:
        return action_type_id in (self._anonymous if user.role == self._anonymous_role else self._users)


def identity_tokens(anonymous: Anonymous) -> list[Any]:
    """What a client may show as its user. A certificate is not among them: it would count as anonymous."""
    ua = need("asyncua", "opcua").ua
    return [ua.UserNameIdentityToken, *([ua.AnonymousIdentityToken] if anonymous != "none" else [])]


async def client_validator(trusted: Path | None) -> Any:
    """Refuses clients whose certificate has expired or, given a folder, that neither is in it nor was signed by one
    that is."""
    validators = need("asyncua.crypto.validator", "opcua")
    options = validators.CertificateValidatorOptions
    wanted = options.TIME_RANGE | options.PEER_CLIENT
    if trusted is None:
        return validators.CertificateValidator(wanted)
    store = need("asyncua.crypto.truststore", "opcua").TrustStore([trusted], [])
    await store.load()
    return validators.CertificateValidator(wanted | options.TRUSTED, store)
