"""Whether a label map is of its photo's size, told from both headers: no pixel is decoded for it."""

import io

from PIL import ExifTags, Image

from tasks.segments.pictures import PHOTO_FORMATS

_TURNED = range(5, 9)  # values of the EXIF tag that swap width and height


def fits(mask: bytes, photo: bytes) -> bool:
    """Whether a label map is as wide and as high as its upright photo; also where a header cannot be read.

    What cannot be read is refused where it is decoded, with a reason.
    """
    try:
        with Image.open(io.BytesIO(mask), formats=("PNG",)) as opened:
            size = opened.size
        with Image.open(io.BytesIO(photo), formats=PHOTO_FORMATS) as opened:
            turned = _turned(opened, size)
            return size == (opened.size[::-1] if turned else opened.size)
    except Exception:  # whatever Pillow raises of a broken header
        return True


def _turned(photo: Image.Image, size: tuple[int, int]) -> bool:
    if photo.format == "PNG" and photo.size == size and "exif" not in photo.info:
        return False  # asked for the tag, Pillow would decode the picture to look behind its pixels
    return photo.getexif().get(ExifTags.Base.Orientation) in _TURNED
