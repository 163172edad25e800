"""What a certificate says of itself, for evidence: names, issuer, validity."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.x509.oid import NameOID

from conformance.evidence.events import JSON


def certificate_facts(der: bytes, host: str) -> dict[str, JSON]:
    """Return names (DNS names and addresses), subject, issuer, not_before and not_after (ISO days), self_signed.

    for_host: whether it is for `host`; in_date: whether it is valid now. Raises ValueError for what is no certificate.
    """
    certificate = x509.load_der_x509_certificate(der)
    names = _names(certificate)
    now = datetime.now(UTC)
    return {
        "names": names,
        "for_host": any(_matches(name.lower(), host.lower()) for name in names),
        "in_date": certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc,
        "subject": _called(certificate.subject),
        "issuer": _called(certificate.issuer),
        "not_before": certificate.not_valid_before_utc.date().isoformat(),
        "not_after": certificate.not_valid_after_utc.date().isoformat(),
        "self_signed": certificate.subject == certificate.issuer,
    }


def _names(certificate: x509.Certificate) -> list[str]:
    """Return the names it is for (RFC 9525: the common name is none)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    names: list[str] = found.get_values_for_type(x509.DNSName)
    return [*names, *(str(address) for address in found.get_values_for_type(x509.IPAddress))]


def _matches(name: str, host: str) -> bool:
    """Whether a name in a certificate is a host's; a star stands for its first label (RFC 9525, section 6.3)."""
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def _called(name: x509.Name) -> str:
    """Return what people call a subject: its common name, else its organization, else all of it."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        if found := name.get_attributes_for_oid(kind):
            return str(found[0].value)
    return name.rfc4514_string()
