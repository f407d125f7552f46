"""What the protocol tells of the server and of one product, in the members of its REST form."""

from __future__ import annotations

from models.version import service_version
from service.oip.images import INPUT
from service.oip.outputs import OUTPUTS
from service.products.product import ProductStatus

EXTENSIONS = ("binary_tensor_data",)
PLATFORM = "mkdserve"
ANY = -1


def server_metadata() -> dict[str, object]:
    """Name, version and extensions."""
    return {"name": "mkdserve", "version": service_version(), "extensions": list(EXTENSIONS)}


def product_metadata(status: ProductStatus) -> dict[str, object]:
    """Its version and tensors. The input is listed as BYTES; pixels of other datatypes are taken under its name."""
    return {
        "name": status.name,
        "versions": [status.version] if status.version is not None else [],
        "platform": PLATFORM,
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [ANY]}],
        "outputs": [{"name": name, "datatype": one.datatype, "shape": [ANY]} for name, one in OUTPUTS.items()],
    }


def can_judge(status: ProductStatus) -> bool:
    """Whether a request for the product would be judged; one that rests is loaded by the request."""
    return status.state in ("served", "resting")
