"""sigstore's internal names, behind functions of the hub. tests/hub/test_library_internals.py fails if one changes."""

from pathlib import Path
from urllib.parse import quote

import sigstore
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.trustroot import v1

PUBLIC_TUF_URL = "https://tuf-repo-cdn.sigstore.dev"
# The root of the public instance as the library ships it: root.json for TUF, and trusted_root.json.
SHIPPED_ROOT = Path(sigstore.__file__).parent / "_store" / quote(PUBLIC_TUF_URL, safe="")


def trusted_root(content: v1.TrustedRoot) -> TrustedRoot:
    """Return the root that verifiers take. The library itself only reads one from a file."""
    return TrustedRoot(content)


def trusted_timestamps(verifier: Verifier, bundle: Bundle) -> int:
    """Count the bundle's timestamps by an authority that the verifier trusts."""
    return len(verifier._verify_timestamp_authority(bundle))
