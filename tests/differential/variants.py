"""All variants of the good package. `python -m tests.differential.variants FOLDER` writes them for conda."""

import sys
from pathlib import Path

from tests.differential import document_variants, index_variants, name_variants, tar_variants, zip_variants
from tests.differential.channel import Variant, write
from tests.differential.shapes import Shape

GOOD = {"itself": Shape()}
OF_BOTH = (
    {"the good package": GOOD}
    | tar_variants.LAYERS
    | name_variants.LAYERS
    | index_variants.LAYERS
    | document_variants.LAYERS
)
OF_CONDA = zip_variants.LAYERS | tar_variants.LAYERS_OF_CONDA
OF_TAR_BZ2 = tar_variants.LAYERS_OF_TAR_BZ2
LAYERS = [*OF_CONDA, *OF_TAR_BZ2, *OF_BOTH]


def every() -> list[Variant]:
    formats = ((".conda", OF_CONDA | OF_BOTH), (".tar.bz2", OF_TAR_BZ2 | OF_BOTH))
    return [
        Variant(layer, name, shape, extension)
        for extension, layers in formats
        for layer, named in layers.items()
        for name, shape in named.items()
    ]


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True)
    write(every(), Path(sys.argv[1]))
