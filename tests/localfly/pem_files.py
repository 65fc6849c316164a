"""A certificate for *.example.com and its key, issued by an authority that lives as long as the call."""

import trustme


def made() -> tuple[str, str]:
    """The certificate and its key, both PEM."""
    leaf = trustme.CA(organization_name="Acme").issue_cert("*.example.com", common_name="example.com")
    return leaf.cert_chain_pems[0].bytes().decode(), leaf.private_key_pem.bytes().decode()
