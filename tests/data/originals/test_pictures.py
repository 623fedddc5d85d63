"""A picture of any kind is decoded as networks see it, with all that no pixel holds, or refused by name."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from bench.core.errors import SepbenchError
from bench.data.originals.encoding import encode
from bench.data.originals.picture import Picture, Unfit, picture_of
from tests.data.test_upright_images import STORED, UPRIGHT
from tests.data.test_upright_images import photo as taken
from tests.making.pictures import as_networks_see, changed, file_of, photo
from tests.making.tiny_data import complaint

ALPHA = photo(12, 9, channels=1, seed=5)


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    return np.dstack([pixels, ALPHA])


def palette(*, transparency: object = None) -> bytes:
    image = Image.fromarray(photo(12, 9)).quantize(16)
    return file_of(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


KINDS = {
    "RGB": file_of(photo(12, 9)),
    "JPEG": file_of(photo(12, 9), "JPEG"),
    "grey": file_of(photo(12, 9, channels=1)),
    "RGBA": file_of(with_alpha(photo(12, 9))),
    "LA": file_of(with_alpha(photo(12, 9, channels=1))),
    "palette": palette(),
    "palette with a transparent colour": palette(transparency=3),
    "palette with alpha": palette(transparency=bytes(range(0, 256, 16))),
    "GIF": file_of(Image.fromarray(photo(12, 9)).quantize(16), "GIF"),
    "1 bit": file_of(Image.fromarray(photo(12, 9, channels=1)).convert("1")),
    "RGB with a transparent colour": file_of(photo(12, 9), transparency=tuple(photo(12, 9)[0, 0].tolist())),
    "grey with a transparent level": file_of(
        photo(12, 9, channels=1), transparency=int(photo(12, 9, channels=1)[0, 0])
    ),
    "WebP with alpha": file_of(with_alpha(photo(12, 9)), "WEBP", lossless=True, exact=True),
    "TIFF": file_of(photo(12, 9), "TIFF"),
    "BMP": file_of(photo(12, 9), "BMP"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_decoded_as_networks_see_it(kind: str) -> None:
    np.testing.assert_array_equal(picture_of(KINDS[kind], "it").rgb, as_networks_see(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_protected_is_written_back_as_it_is_seen(kind: str) -> None:
    picture = picture_of(KINDS[kind], "it")
    written = encode(picture, picture.rgb, "png", 95).data
    theirs = Image.open(io.BytesIO(KINDS[kind])).convert("RGBA")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(written)).convert("RGBA")), np.asarray(theirs))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "alpha" in kind or kind in ("RGBA", "LA")])
def test_alpha_is_kept_and_untouched(kind: str) -> None:
    picture = picture_of(KINDS[kind], "it")
    written = Image.open(io.BytesIO(encode(picture, changed(picture.rgb), "png", 95).data))
    before = np.asarray(Image.open(io.BytesIO(KINDS[kind])).convert("RGBA").getchannel("A"))
    assert before.min() < before.max()
    np.testing.assert_array_equal(np.asarray(written.getchannel("A")), before)
    np.testing.assert_array_equal(np.asarray(written.convert("RGB")), changed(picture.rgb))


def test_a_colour_that_stands_for_transparent_becomes_alpha() -> None:
    picture = picture_of(KINDS["RGB with a transparent colour"], "it")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha == 0, (photo(12, 9) == photo(12, 9)[0, 0]).all(2))


# Grey.


@pytest.mark.parametrize(("kind", "mode"), [("grey", "L"), ("LA", "LA"), ("1 bit", "L")])
def test_a_grey_picture_stays_grey(kind: str, mode: str) -> None:
    picture = picture_of(KINDS[kind], "it")
    made = encode(picture, changed(picture.rgb), "png", 95)
    assert Image.open(io.BytesIO(made.data)).mode == mode
    assert "grey became RGB" not in made.notes


def test_a_grey_picture_whose_protection_has_colour_becomes_rgb_and_says_so() -> None:
    picture = picture_of(KINDS["grey"], "it")
    protected = picture.rgb.copy()
    protected[0, 0, 1] ^= 1
    made = encode(picture, protected, "png", 95)
    assert Image.open(io.BytesIO(made.data)).mode == "RGB"
    assert made.notes == ("grey became RGB",)
    np.testing.assert_array_equal(made.rgb, protected)


def test_an_rgb_picture_without_colour_stays_rgb() -> None:
    picture = picture_of(file_of(photo(12, 9, channels=1)[..., None].repeat(3, 2)), "it")
    assert not picture.grey
    assert Image.open(io.BytesIO(encode(picture, picture.rgb, "png", 95).data)).mode == "RGB"


def test_one_bit_that_became_eight_is_said() -> None:
    assert picture_of(KINDS["1 bit"], "it").notes == ("its 1 bit became 8",)


# Orientation and metadata.


@pytest.mark.parametrize("orientation", STORED)
def test_orientation_is_applied_once_and_its_tag_dropped(orientation: int) -> None:
    picture = picture_of(taken(STORED[orientation], orientation), "it")
    np.testing.assert_array_equal(picture.rgb, UPRIGHT)
    written = encode(picture, picture.rgb, "png", 95).data
    assert not Image.open(io.BytesIO(written)).getexif()
    np.testing.assert_array_equal(picture_of(written, "it").rgb, UPRIGHT)


def test_alpha_is_turned_with_its_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = file_of(with_alpha(photo(12, 9)), exif=exif)
    picture = picture_of(stored, "it")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, np.rot90(ALPHA, -1))
    assert picture.size == (9, 12)


def test_an_orientation_that_cannot_be_read_is_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (note,) = picture_of(file_of(photo(12, 9), "JPEG", exif=b"Exif\0\0nonsense"), "it").notes
    assert "EXIF" in note
    assert "taken as stored" in note


def test_where_and_when_a_picture_was_taken_is_not_written() -> None:
    exif = Image.Exif()
    exif[0x010E] = "my house"
    exif[0x8825] = {1: "N"}
    picture = picture_of(file_of(photo(12, 9), "JPEG", exif=exif, comment=b"my street"), "it")
    assert picture.metadata == ("EXIF", "GPS", "text")
    written = Image.open(io.BytesIO(encode(picture, picture.rgb, "png", 95).data))
    assert written.info == {}


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_the_colour_profile_is_kept(form: str) -> None:
    picture = picture_of(file_of(photo(12, 9), icc_profile=PROFILE), "it")
    made = encode(picture, changed(picture.rgb), form, 95)
    assert Image.open(io.BytesIO(made.data)).info["icc_profile"] == PROFILE
    assert made.notes == ()


def test_a_profile_of_other_channels_is_dropped_and_that_is_said() -> None:
    picture = picture_of(file_of(photo(12, 9, channels=1), icc_profile=PROFILE), "it")
    made = encode(picture, changed(picture.rgb), "png", 95)
    assert "icc_profile" not in Image.open(io.BytesIO(made.data)).info
    assert made.notes == ("its colour profile is of other channels and was dropped",)


# JPEG.


def test_jpeg_loses_less_the_higher_its_quality_and_what_it_decodes_to_is_told() -> None:
    picture = picture_of(KINDS["RGB"], "it")
    protected = changed(picture.rgb)
    off = []
    for quality in (50, 95, 100):
        made = encode(picture, protected, "jpeg", quality)
        image = Image.open(io.BytesIO(made.data))
        assert image.format == "JPEG"
        np.testing.assert_array_equal(made.rgb, np.asarray(image.convert("RGB")))
        off.append(int(np.abs(made.rgb.astype(int) - protected).sum()))
    assert off[0] > off[1] > off[2] > 0


def test_pixels_of_another_size_are_refused() -> None:
    picture = picture_of(KINDS["RGB"], "it")
    assert "protect each picture at its own size" in complaint(encode, picture, photo(9, 12), "png", 95)


# What is refused.


def frames(kind: str) -> bytes:
    images = [Image.fromarray(photo(12, 9, seed=seed)) for seed in range(3)]
    return file_of(images[0], kind, save_all=True, append_images=images[1:])


def deep(mode: str) -> bytes:
    """Return a PNG of 16 bits a channel; of RGB by hand, as Pillow writes none."""
    grey = file_of(Image.fromarray(np.full((2, 2), 1000, np.uint16)))
    if mode == "grey":
        return grey
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = (b"\0" + bytes(12)) * 2
    return grey[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def cmyk() -> bytes:
    return file_of(Image.fromarray(photo(12, 9)).convert("CMYK"), "JPEG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frames("GIF"), "is animated (3 frames)"),
        (frames("PNG"), "is animated (3 frames)"),
        (frames("WEBP"), "is animated (3 frames)"),
        (frames("TIFF"), "has several pages (3 pages)"),
        (deep("grey"), "has more than 8 bits a channel"),
        (deep("RGB"), "has more than 8 bits a channel"),
        (file_of(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "has more than 8 bits a channel"),
        (cmyk(), "has the colours CMYK"),
        (file_of(Image.fromarray(photo(12, 9)).convert("LAB"), "TIFF"), "has the colours LAB"),
    ],
    ids=["GIF", "APNG", "WebP", "pages", "16-bit grey", "16-bit RGB", "float", "CMYK", "LAB"],
)
def test_what_would_lose_something_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        picture_of(data, "cat/a.png")
    message = str(caught.value)
    assert message.startswith(f"cat/a.png {reason}")
    assert message.endswith("convert it to 8-bit RGB or grey, such as PNG, or move it elsewhere")


def test_a_phones_picture_with_views_of_it_is_taken() -> None:
    image = Image.fromarray(photo(12, 9))
    data = file_of(image, "MPO", save_all=True, append_images=[image, image])
    views = getattr(Image.open(io.BytesIO(data)), "n_frames", 1)
    if views == 1:
        pytest.skip("before Pillow 11.3 no such picture could be made")
    assert views == 3
    assert isinstance(picture_of(data, "it"), Picture)


@pytest.mark.parametrize("data", [KINDS["JPEG"][:200], b"", b"nothing", KINDS["RGB"][:-40]])
def test_a_corrupt_file_is_one_sentence_that_names_it(data: bytes) -> None:
    with pytest.raises(SepbenchError, match=r"^cat/a\.png ") as caught:
        picture_of(data, "cat/a.png")
    assert "\n" not in str(caught.value)
