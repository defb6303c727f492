"""Look at every file of a data set once, before anything is trained on it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from sscnb.datasets.folder import Dataset
from sscnb.datasets.images import read_image
from sscnb.errors import UserError


def check_images(dataset: Dataset, ids: Iterable[str], *, masks: bool = False, workers: int = 4) -> None:
    """Decode every image (and the mask of those that have one) and resolve its labels; report all faults at once.

    Raises:
        UserError: naming up to five faulty files and how many more there are.
    """

    def check(image_id: str) -> str | None:
        try:
            read_image(dataset.image_path(image_id))
            dataset.labels(image_id)
            if masks and dataset.mask_path(image_id).is_file():
                dataset.mask(image_id)
        except UserError as error:
            return str(error)
        return None

    ids = list(ids)
    with ThreadPoolExecutor(workers) as pool:
        found = tqdm(pool.map(check, ids), total=len(ids), desc="checking files", unit="img", mininterval=0.5)
        faults = [fault for fault in found if fault]
    if faults:
        more = f"\n... and {len(faults) - 5} more." if len(faults) > 5 else ""
        raise UserError(
            f"{dataset.root}: {len(faults)} of {len(ids)} images cannot be used.\n" + "\n".join(faults[:5]) + more
        )
