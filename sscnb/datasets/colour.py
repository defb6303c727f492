"""Changes of an image's colours: what segmentation's crops go through, with the numbers of the release."""

import cv2
import numpy as np

TOGETHER = 0.8  # probability that brightness, contrast, hue, saturation and value change, all five
BRIGHTNESS = 0.2  # of 255, up or down
CONTRAST = 0.2  # factors of 1 - this to 1 + this
HUE = 20  # of 180, OpenCV's full circle
SATURATION, VALUE = 30, 20  # of 255
GREY = 0.2  # probability of no colour at all
BLUR = 0.5  # probability of a Gaussian blur
KERNELS = (3, 5)  # its width in pixels; the deviation is OpenCV's for that width: .8 and 1.1


def change_colours(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change an image H,W,3 uint8 at random: tone and hue, grey, blur, each with its own probability.

    Whatever is drawn comes from the generator, so an image depends on its seed alone. Returns a new array or the image.
    """
    if rng.random() < TOGETHER:
        image = change_tone(image, 1 + rng.uniform(-CONTRAST, CONTRAST), 255 * rng.uniform(-BRIGHTNESS, BRIGHTNESS))
        image = shift_hsv(image, *(rng.uniform(-limit, limit) for limit in (HUE, SATURATION, VALUE)))
    if rng.random() < GREY:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < BLUR:
        kernel = int(rng.choice(KERNELS))
        image = cv2.GaussianBlur(image, (kernel, kernel), 0)
    return image


def change_tone(image: np.ndarray, contrast: float, brightness: float) -> np.ndarray:
    """Return contrast x + brightness of every value x in 0..255, clipped to that range; H,W,3 uint8."""
    return _clip(np.arange(256) * contrast + brightness)[image]


def shift_hsv(image: np.ndarray, hue: float, saturation: float, value: float) -> np.ndarray:
    """Turn the hue (180 is the circle), and shift saturation and value (of 255, clipped); H,W,3 uint8."""
    h, s, v = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2HSV))
    levels = np.arange(256)
    turned = np.round((levels + hue) % 180).astype(np.uint8) % 180
    changed = (turned[h], _clip(levels + saturation)[s], _clip(levels + value)[v])
    return cv2.cvtColor(cv2.merge(changed), cv2.COLOR_HSV2RGB)


def _clip(levels: np.ndarray) -> np.ndarray:
    return levels.round().clip(0, 255).astype(np.uint8)
